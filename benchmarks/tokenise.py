"""Rows to token ids and loss masks: our encoder against transformers' apply_chat_template, row by row, on the same conversations.

    python benchmarks/tokenise.py [--rows 5000] [--rounds 8] [--model DIR]

Both use SmolLM2's tokenizer and chat template. transformers makes the ids alone; ours also finds what the assistant said. Rounds
alternate, and the best of each counts. The last line is one JSON object: claim, ratio, ours, theirs (rows a second), cpu_ratio (of
CPU seconds: what is gained on one core alone).
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from finetune_text.chat_template import ChatTemplate
from finetune_text.markers import Markers
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.encoded import Encoded
from finetune_trainer.data.tokens.language import LanguageEncoder
from finetune_trainer.tasks.conversation import Conversation, Message, Role

ASSETS = Path(__file__).parent.parent / "examples" / "assets"
TEXT = (
    "the order was sent on Monday and should arrive by Thursday if nothing holds it up at customs which happens more often than "
    "people think please check your account settings under privacy then choose export data wait for an e-mail with a link that is "
    "valid for two days 42 1999 € naïve 東京 def main(): return x + 1"
)
WORDS = TEXT.split()


def conversations(count: int) -> Iterator[Conversation]:
    """Generated chats of two to eight messages, about 60 tokens each; the same on every machine."""
    draw = random.Random(7)
    for _ in range(count):
        roles: list[Role] = ["user", "assistant"] * draw.randint(1, 4)
        messages = [Message(role, " ".join(draw.choices(WORDS, k=draw.randint(5, 80)))) for role in roles]
        yield Conversation([Message("system", "You are a helpful assistant."), *messages] if draw.random() < 0.5 else messages)


def our_encoder(model: Path) -> LanguageEncoder:
    """As prepare makes it."""
    special = json.loads((model / "tokenizer_config.json").read_text())
    names = {name: special[name] for name in ("bos_token", "eos_token")}
    template = ChatTemplate((model / "chat_template.jinja").read_text(), names)
    renderer = ChatRenderer(template, Markers(("<|im_start|>", "<|im_end|>", "<|endoftext|>")))
    return LanguageEncoder(Tokenizer.from_file(str(model / "tokenizer.json")), renderer, "assistant")


def their_tokenizer(model: Path) -> Any:
    """As transformers loads it."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


class Taken(NamedTuple):
    """Seconds of one round."""

    wall: float
    cpu: float
    """Of all cores together."""


def measure(work: Callable[[], list[int]]) -> tuple[Taken, list[int]]:
    """How long it takes, and the number of tokens of each row that it found."""
    start, cpu = time.perf_counter(), time.process_time()
    lengths = work()
    return Taken(time.perf_counter() - start, time.process_time() - cpu), lengths


def main() -> None:
    """Measures and hashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--model", type=Path, help="folder with SmolLM2's tokenizer (default: the project's assets)")
    arguments = parser.parse_args()
    model = arguments.model or assets() / "smollm2-135m-instruct"
    rows = [(f"line {number}", row) for number, row in enumerate(conversations(arguments.rows), start=1)]
    plain = [[{"role": message.role, "content": message.content} for message in row.messages] for _, row in rows]
    encoder, tokenizer = our_encoder(model), their_tokenizer(model)

    def ours() -> list[int]:
        return [len(example.input_ids) for example in encoder.encode(rows) if isinstance(example, Encoded)]

    def theirs() -> list[int]:
        return [len(tokenizer.apply_chat_template(chat, return_dict=False)) for chat in plain]

    rounds: list[tuple[Taken, Taken]] = []
    for number in range(1, arguments.rounds + 1):
        (mine, found), (other, expected) = measure(ours), measure(theirs)
        if found != expected:
            raise SystemExit("the two do not make the same tokens")
        rounds.append((mine, other))
        print(f"round {number}: ours {mine.wall:.2f} s (CPU {mine.cpu:.2f}), theirs {other.wall:.2f} s (CPU {other.cpu:.2f})")
    best = [Taken(*map(min, zip(*side, strict=True))) for side in zip(*rounds, strict=True)]
    result = {
        "claim": "rows to token ids and loss masks, against tokenizer.apply_chat_template row by row (ids alone)",
        "ratio": round(best[1].wall / best[0].wall, 2),
        "ours": round(len(rows) / best[0].wall),
        "theirs": round(len(rows) / best[1].wall),
        "unit": "rows/s",
        "cpu_ratio": round(best[1].cpu / best[0].cpu, 2),
        "rows": len(rows),
        "tokens": sum(found),
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))


def assets() -> Path:
    """The project's folder of small models."""
    return Path(subprocess.run([sys.executable, ASSETS], check=True, capture_output=True, text=True).stdout.splitlines()[-1])


if __name__ == "__main__":
    main()

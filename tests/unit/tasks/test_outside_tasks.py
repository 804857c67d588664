"""Tasks of installed packages for each kind of classifier: `kubectl finetune validate` reads, checks, counts and splits their rows."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.outside_package import install

MOOD = """
import msgspec
from finetune_trainer.tasks import SequenceTask
from finetune_trainer.tasks.explain.texts import text_pair_problems

class Mood(msgspec.Struct):
    saying: str
    mood: str

class MoodTask(SequenceTask):
    name, title, fields = "mood", "saying/mood", ("saying", "mood")
    example = {"saying": "What a day!", "mood": "glad"}

    def problems(self, fields, layout, names):
        return text_pair_problems(fields, self.fields, layout.extra, layout.names)

    def build(self, fields, context):
        return Mood(fields["saying"], fields["mood"])

    def input(self, row):
        return row.saying

    def labels(self, row):
        return (row.mood,)

ENTRY = MoodTask()
"""
MARKS = """
import msgspec
from finetune_trainer.tasks import TokenTask
from finetune_trainer.tasks.explain.texts import text_pair_problems

class Marked(msgspec.Struct):
    sentence: str
    marks: str

class MarksTask(TokenTask):
    name, title, fields = "marks", "sentence/marks", ("sentence", "marks")
    example = {"sentence": "Maria sleeps", "marks": "B-PER O"}

    def problems(self, fields, layout, names):
        return text_pair_problems(fields, self.fields, layout.extra, layout.names)

    def build(self, fields, context):
        return Marked(fields["sentence"], fields["marks"])

    def input(self, row):
        return row.sentence.split()

    def tags(self, row):
        return row.marks.split()

ENTRY = MarksTask()
"""
MOODS = [{"saying": f"day {number} of {number * 7}", "mood": ("glad", "sad")[number % 2]} for number in range(40)]
SENTENCES = [{"sentence": f"Maria{number} sleeps {number}", "marks": "B-PER O O"} for number in range(40)]
CASES = [(MOOD, "mood", MOODS, {"glad", "sad"}), (MARKS, "marks", SENTENCES, {"PER"})]


@pytest.mark.parametrize("source, task, rows, labels", CASES, ids=["sequence", "token"])
def test_rows_of_a_classifier_s_task_from_outside(tmp_path: Path, source: str, task: str, rows: list[Any], labels: set[str]) -> None:
    """Labels are counted as those of the project's own tasks; a wrong row is a finding."""
    install(tmp_path, f"{task}_task", source, group="finetune.tasks", name=task)
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows, dict.fromkeys(rows[0], "")]))
    command = [sys.executable, "-m", "finetune_cli", "validate", str(data), "--task", task, "--max-invalid-fraction", "0.1", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["summary"]["labels"]) == labels
    assert report["summary"]["trainExamples"] + report["summary"]["validationExamples"] == len(rows)
    assert report["findings"][0].startswith(f"line {len(rows) + 1}: ")

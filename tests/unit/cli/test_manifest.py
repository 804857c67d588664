"""A FineTuneJob's manifest is judged as an API server would, with the line of the field."""

from pathlib import Path

import pytest

from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_cli.manifest import read_manifest
from finetune_cli.problems import UnusableManifest

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/job.yaml"))
JOB = """apiVersion: finetune.dev/v1alpha1
kind: FineTuneJob
metadata: {name: bot}
spec:
  base:
    source: s3://models/base
  dataset:
    train:
      source: s3://datasets/train.jsonl
"""


def written(folder: Path, text: str) -> Path:
    """A manifest with that text."""
    path = folder / "job.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_examples_are_valid(path: Path) -> None:
    """Every committed job passes its own checks."""
    assert read_manifest(path).name


def test_numbers_are_read_as_yaml_1_2_does(tmp_path: Path) -> None:
    """1e-5 is a number, as for kubectl; PyYAML takes it for a text."""
    spec = read_manifest(written(tmp_path, JOB + "  hyperparameters: {learningRate: 1e-5}\n")).spec
    assert isinstance(spec, FineTuneJobSpec) and spec.hyperparameters.learning_rate == 1e-5


# (text that is put in place of the first, what is said of it)
WRONG = [
    ("  base:\n", "  task: chatt\n  base:\n", "line 5: spec.task: ", "'chatt'"),
    ("s3://models/base", "ftp://models/base", "line 6: spec.base.source: must be pvc://", "'ftp://models/base'"),
    ("    source: s3://models/base\n", "    revision: main\n", "line 6: spec.base.revision: is not a field", ""),
    ("      source: s3://datasets/train.jsonl\n", "      slice: '0%:80%'\n", "line 8: spec.dataset.train.source: is required", ""),
    ("train.jsonl\n", "train.jsonl\n      slice: 1-2\n", "line 10: spec.dataset.train.slice: must be two row numbers", "'1-2'"),
    (
        "train.jsonl\n",
        "train.jsonl\n  hyperparameters: {epochs: 3, maxSteps: 4}\n",
        "line 10: spec.hyperparameters: set epochs or maxSteps",
        "",
    ),
    ("train.jsonl\n", "train.jsonl\n  training: {gpuMemory: 80Gx}\n", "line 10: spec.training.gpuMemory: must be a quantity", ""),
    (
        "train.jsonl\n",
        "train.jsonl\n  training: {gpuMemory: 80Gi}\n",
        "line 10: spec.training.gpuMemory: gpuMemory requires gpusPerNode > 0",
        "",
    ),
    (
        "train.jsonl\n",
        "train.jsonl\n  training: {strategy: {type: ddp, sharding: full}}\n",
        "line 10: spec.training.strategy.sharding: sharding can be set only if type is fsdp",
        "",
    ),
    (
        "train.jsonl\n",
        "train.jsonl\n  training: {strategy: {type: fsdp, zeroStage: 3}}\n",
        "line 10: spec.training.strategy.zeroStage: zeroStage can be set only if type is deepspeed",
        "",
    ),
    (
        "train.jsonl\n",
        "train.jsonl\n  training: {strategy: {type: fsdp, tensorParallelSize: 2}}\n",
        "line 10: spec.training.strategy.tensorParallelSize: tensorParallelSize can be set only if type is tensor-parallel",
        "",
    ),
    ("train.jsonl\n", "train.jsonl\n  training: {strategy: {type: zero}}\n", "line 10: spec.training.strategy.type: ", "'zero'"),
    (
        "train.jsonl\n",
        "train.jsonl\n  publishing: {gpus: 2}\n",
        "line 10: spec.publishing.gpus: Input should be less than or equal to 1",
        "",
    ),
    ("  base:\n", "  task: token-classification\n  method: {lossOn: all}\n  base:\n", "line 6: spec.method.lossOn: lossOn: all is", ""),
    ("train.jsonl\n", "train.jsonl\n  training:\n    nodes: 2\n", "spec.workspace.storage.accessMode: training.nodes > 1 requires", ""),
    ("    source: s3://models/base\n", "    source: s3://m-1/b\n    fineTunedModel: {name: a}\n", "line 5: spec.base: exactly one of", ""),
    (
        "train.jsonl\n",
        "train.jsonl\n    validation: {split: {}, columns: {prompt: q}}\n",
        "line 10: spec.dataset.validation: format, columns",
        "",
    ),
    ("kind: FineTuneJob", "kind: Pod", "holds no FineTuneJob (it holds Pod)", ""),
    ("v1alpha1", "v2", "apiVersion is finetune.dev/v2, expected finetune.dev/v1alpha1", ""),
    ("spec:\n", "spec: [\n", "is not valid YAML", ""),
]


@pytest.mark.parametrize("old, new, says, value", WRONG, ids=[says[:40] for _, _, says, _ in WRONG])
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, says: str, value: str) -> None:
    """Field, line, value and what was expected, for types as for the rules between fields."""
    with pytest.raises(UnusableManifest) as caught:
        read_manifest(written(tmp_path, JOB.replace(old, new, 1)))
    assert any(says in problem and value in problem for problem in caught.value.problems), caught.value.problems


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Two mistakes, two lines."""
    with pytest.raises(UnusableManifest) as caught:
        read_manifest(written(tmp_path, JOB.replace("train.jsonl", "train.jsonl\n      slise: 3") + "  taks: chat\n"))
    assert len(caught.value.problems) == 2

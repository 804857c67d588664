"""publish refuses what it cannot work on, before it loads a model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure
from finetune_trainer.publish.main import publish

pytestmark = pytest.mark.trainer
MakeConfig = Callable[..., RunConfig]


def without(name: str) -> Callable[[Path], object]:
    """A change that deletes a file or a link of the workspace."""
    return lambda workspace: (workspace / name).unlink()


def with_text(name: str, old: str, new: str) -> Callable[[Path], object]:
    """A change of a file's text."""

    def change(workspace: Path) -> None:
        text = (workspace / name).read_text()
        assert old in text
        (workspace / name).write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (without("prepared.json"), "WorkspaceDamaged", "the prepare stage has to run again"),
        (without("data/validation.arrow"), "WorkspaceDamaged", "validation.arrow is missing: the prepare stage has to run again"),
        (without("data/prompts.arrow"), "WorkspaceDamaged", "prompts.arrow is missing: the prepare stage has to run again"),
        (without("data/requests.json"), "WorkspaceDamaged", "requests.json is missing: the prepare stage has to run again"),
        (without("trained/.complete"), "WorkspaceDamaged", "trained is not complete: the train stage has to run again"),
        (without("trained/adapter"), "WorkspaceDamaged", "trained is not complete: the train stage has to run again"),
        (with_text("trained/.complete", '"owner":"d1', '"owner":"d0'), "WorkspaceDamaged", "trained is of another run"),
        (with_text("trained/.complete", '"xxh3":"', '"xxh3":"0'), "WorkspaceDamaged", "does not have the checksum"),
        (with_text("prepared.json", '"specDigest":"d1"', '"specDigest":"d0"'), "WorkspaceOfAnotherJob", "job bot has d1"),
        (with_text("prepared.json", '"contractVersion":1', '"contractVersion":9'), "WorkspaceInvalid", "contract version 9"),
        (with_text("prepared.json", '"basePath":"', '"basePath":"/gone'), "BaseModelNotFound", "/gone.* no longer contains the base model"),
        (with_text("prepared.json", '"seed":1', '"seed":"x"'), "WorkspaceDamaged", "hyperparameters.seed: Input should be a valid integer"),
    ],
)
def test_incomplete_workspace(make_config: MakeConfig, folder: Path, change: Callable[[Path], None], code: str, words: str) -> None:
    """Each missing or foreign part of the workspace is named, with the stage that makes it."""
    config = make_config(folder)
    change(Path(config.paths.workspace))
    with pytest.raises(StageFailure, match=words) as caught:
        publish(config, 1)
    again = code == "WorkspaceDamaged"
    assert (caught.value.error.code, caught.value.exit_code) == (code, ExitCode.WORKSPACE_DAMAGED if again else ExitCode.INVALID_INPUT)
    assert not Path(config.paths.model).exists()


def test_too_small_a_volume_is_found_at_once(make_config: MakeConfig, folder: Path) -> None:
    """A model that cannot fit is refused before the evaluation, naming the field to change."""
    config = make_config(folder, parameters=10**15)
    with pytest.raises(StageFailure, match=r"is full \(\d+ MB are free, the model needs about 4000000000 MB\)") as caught:
        publish(config, 1)
    assert (caught.value.error.param, caught.value.exit_code) == ("output.storage.size", ExitCode.STORAGE_FULL)

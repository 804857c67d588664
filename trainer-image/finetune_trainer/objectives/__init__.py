"""Objectives: what is learned from a row, and the loss. OBJECTIVES has them by name (method.objective of a spec).

objective.py   the protocol
sft.py         an answer, token by token: every learner's own loss
dpo.py         which of two answers is preferred, relative to the base model
orpo.py        the preferred one of two answers, and that it is preferred
kto.py         whether an answer is desirable, relative to the base model
settings.py    settings that do not fit each other
custom_code.py the code of a user's own loss: read, checked and pinned
"""

from finetune_api.registry import Registry
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import entry_of, invalid
from finetune_trainer.objectives.dpo import DPO
from finetune_trainer.objectives.kto import KTO
from finetune_trainer.objectives.objective import Objective
from finetune_trainer.objectives.orpo import ORPO
from finetune_trainer.objectives.settings import check_settings
from finetune_trainer.objectives.sft import SFT
from finetune_trainer.tasks import AnyTask, find_task

__all__ = ["OBJECTIVES", "Objective", "objective_of", "task_of"]

OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    "finetune.objectives",
    SFT,
    DPO,
    ORPO,
    KTO,
)


def objective_of(config: RunConfig) -> Objective:
    """The objective of a run; raises StageFailure InvalidSpec for an unknown one."""
    return entry_of(OBJECTIVES, config.method.objective, "method.objective")


def task_of(config: RunConfig) -> AnyTask:
    """The task of a run's rows, which the objective determines beside spec.task. Raises StageFailure InvalidSpec where they do not fit,
    or where settings of the objective do not."""
    objective, task = objective_of(config), find_task(config.task)
    rows = objective.rows_of(task)
    if rows is None:
        raise invalid(
            "InvalidSpec",
            f"method.objective: {objective.name} is not available for task {task.name}: set objective: sft, or task: chat or completion",
            param="method.objective",
        )
    if objective.compares and config.method.loss_on != "assistant":
        raise invalid(
            "InvalidSpec",
            f"method.lossOn: {config.method.loss_on} is not available with objective {objective.name}, which judges answers: remove it",
            param="method.lossOn",
        )
    check_settings(config.method)
    return rows

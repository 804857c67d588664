"""Supervised fine-tuning: an answer or a label is learned as it is. The loss is the learner's own."""

from finetune_api.run_config import RunMethod
from finetune_trainer.objectives.objective import Answers, Compared
from finetune_trainer.tasks import AnyTask


class Sft:
    """An Objective."""

    name = "sft"
    title = "supervised fine-tuning"
    compares = False
    needs_reference = False
    learning_rate_scale = 1.0

    def rows_of(self, task: AnyTask) -> AnyTask | None:
        return task

    def settings(self, method: RunMethod) -> dict[str, float | int | str | bool]:
        return {}

    def losses(self, method: RunMethod, answers: Answers) -> Compared:
        raise NotImplementedError(f"{self.title} compares no answers")


SFT = Sft()

"""Supervised fine-tuning: an answer or a label is learned as it is. The loss is the learner's own, with the settings of method.sft."""

from finetune_api.resources.method import Sft
from finetune_api.run_config import RunMethod
from finetune_trainer.objectives.objective import Answers, Compared
from finetune_trainer.objectives.settings import CUSTOM_LOSS, custom_loss_of, refused
from finetune_trainer.tasks import AnyTask
from finetune_trainer.tasks.explain.problem import did_you_mean, listed


class SupervisedFineTuning:
    """An Objective."""

    name = "sft"
    title = "supervised fine-tuning"
    compares = False
    metrics: tuple[str, ...] = ()
    rates = False
    needs_reference = False
    learning_rate_scale = 1.0

    def rows_of(self, task: AnyTask) -> AnyTask | None:
        return task

    def settings(self, method: RunMethod) -> dict[str, float | int | str | bool]:
        chosen = (method.sft or Sft()).model_dump(by_alias=True, exclude_defaults=True)
        weights = chosen.get("classWeights", {})
        texts = {"classWeights": ", ".join(f"{label}: {weight:g}" for label, weight in weights.items())} if weights else {}
        code = {CUSTOM_LOSS: f"{loss.function} of {loss.name}"} if (loss := custom_loss_of(method)) else {}
        return {f"sft.{name}": value for name, value in (chosen | texts | code).items()}

    def losses(self, method: RunMethod, answers: Answers) -> Compared:
        raise NotImplementedError(f"{self.title} compares no answers")


SFT = SupervisedFineTuning()


def check_classes(settings: Sft, task: AnyTask, labels: tuple[str, ...], *, multi_label: bool) -> None:
    """Raises StageFailure for settings of the loss that do not fit what a task learns; `labels` are those of a classifier."""
    chosen = settings.model_dump(by_alias=True, exclude_defaults=True)
    if task.learner == "embedding":
        if field := next(iter(chosen), ""):
            raise refused(f"sft.{field}", f"is for labels and tokens, and task {task.name} learns neither: remove it")
        return
    if task.learner == "language":
        if field := next((name for name in chosen if name not in ("labelSmoothing", CUSTOM_LOSS)), ""):
            raise refused(f"sft.{field}", f"is for classifiers, and task {task.name} trains a language model: remove it")
        return
    unknown = next((label for label in settings.class_weights if label not in labels), None)
    if unknown is not None:
        known = f"the labels are {listed(labels)}"
        raise refused("sft.classWeights", f"has the label {unknown!r}{did_you_mean(unknown, labels)}, which no row has: {known}")
    if multi_label and settings.label_smoothing:
        raise refused("sft.labelSmoothing", "needs rows with one label each, and these have lists of labels: remove it, or set focalGamma")
    if multi_label and settings.balanced_classes:
        raise refused("sft.balancedClasses", "needs rows with one label each, and these have lists of labels: set classWeights instead")

"""Direct preference optimization (Rafailov et al. 2023, equation 7) with label smoothing (Mitchell 2023), and IPO (Azar et al. 2023,
equation 17), as in TRL's DPOTrainer."""

from finetune_api.metrics import PREFERENCE_METRICS
from finetune_api.resources.method import Dpo
from finetune_api.run_config import RunMethod
from finetune_trainer.objectives.objective import Answers, Compared
from finetune_trainer.tasks import AnyTask
from finetune_trainer.tasks.preference import PAIRS


class DirectPreference:
    """An Objective."""

    name = "dpo"
    title = "direct preference optimization"
    compares = True
    metrics = PREFERENCE_METRICS
    rates = False
    needs_reference = True
    learning_rate_scale = 0.05  # 1e-5 for adapters and 1e-6 for whole models of 7B: TRL's default and its advice for LoRA

    def rows_of(self, task: AnyTask) -> AnyTask | None:
        return PAIRS.get(task.name)

    def settings(self, method: RunMethod) -> dict[str, float | int | str | bool]:
        settings = method.dpo or Dpo()
        smoothing = {"dpo.labelSmoothing": settings.label_smoothing} if settings.label_smoothing else {}
        return {"dpo.beta": settings.beta, "dpo.loss": settings.loss, **smoothing}

    def losses(self, method: RunMethod, answers: Answers) -> Compared:
        import torch.nn.functional as F

        settings = method.dpo or Dpo()
        ratios = answers.log_probs - answers.reference
        rewards = settings.beta * ratios
        if settings.loss == "sigmoid":
            margins, wrong = rewards[:, 0] - rewards[:, 1], settings.label_smoothing
            return Compared(-(1 - wrong) * F.logsigmoid(margins) - wrong * F.logsigmoid(-margins), rewards.detach())
        means = ratios / answers.tokens  # the paper's authors confirmed to TRL's that it is a mean over tokens
        return Compared((means[:, 0] - means[:, 1] - 1 / (2 * settings.beta)) ** 2, rewards.detach())


DPO = DirectPreference()

"""Kahneman-Tversky optimization (Ethayarajh et al. 2024, section 4), as in TRL's KTOTrainer: answers with a label instead of pairs."""

from finetune_api.metrics import PREFERENCE_METRICS, RATING_METRICS
from finetune_api.resources.method import Kto
from finetune_api.run_config import RunMethod
from finetune_trainer.objectives.objective import Answers, Compared
from finetune_trainer.tasks import AnyTask
from finetune_trainer.tasks.rated import RATED


class KahnemanTversky:
    """An Objective."""

    name = "kto"
    title = "Kahneman-Tversky optimization"
    compares = True
    metrics: tuple[str, ...] = (*PREFERENCE_METRICS, *RATING_METRICS)
    rates = True
    needs_reference = True
    learning_rate_scale = 0.05  # TRL's default, 1e-6 for whole models, is that of its DPOTrainer

    def rows_of(self, task: AnyTask) -> AnyTask | None:
        return RATED.get(task.name)

    def settings(self, method: RunMethod) -> dict[str, float | int | str | bool]:
        settings = method.kto or Kto()
        weights = {"kto.desirableWeight": settings.desirable_weight, "kto.undesirableWeight": settings.undesirable_weight}
        return {"kto.beta": settings.beta, **weights}

    def losses(self, method: RunMethod, answers: Answers) -> Compared:
        import torch

        settings, desirable = method.kto or Kto(), answers.desirable
        assert desirable is not None and answers.kl is not None, "the learner of rated answers gives both"
        ratios = answers.log_probs - answers.reference
        above = torch.where(desirable, 1.0, -1.0) * (ratios[:, 0] - answers.kl)
        weights = torch.where(desirable, settings.desirable_weight, settings.undesirable_weight)
        return Compared(weights * (1 - torch.sigmoid(settings.beta * above)), settings.beta * ratios.detach())


KTO = KahnemanTversky()

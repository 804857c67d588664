"""Scores: an open set of numbers by metric, written as they always were."""

import pytest
from pydantic import ValidationError

from finetune_api.metrics import listed_metrics, metric_of
from finetune_api.model_directory import EvaluationReport

OLD = '{"examples": 4, "tokens": 9, "base": {"loss": 4.5, "rewardAccuracy": 0.5}, "tuned": {"loss": 2.5, "rewardAccuracy": 0.75}}'


def test_an_earlier_manifest_is_read() -> None:
    """The names of fields have become keys."""
    report = EvaluationReport.from_json(OLD)
    assert (report.base, report.tuned["rewardAccuracy"]) == ({"loss": 4.5, "rewardAccuracy": 0.5}, 0.75)
    assert report.to_dict()["tuned"] == {"loss": 2.5, "rewardAccuracy": 0.75}


@pytest.mark.parametrize("tuned", ['{"accuracy": 1}', '{"loss": "low"}', '{"loss": 1, "not a name": 2}', '{"loss": NaN}'])
def test_other_scores_are_refused(tuned: str) -> None:
    """Every model has a loss, and every score is a number with a name."""
    with pytest.raises(ValidationError):
        EvaluationReport.from_json(f'{{"examples": 4, "tokens": 9, "base": {{"loss": 4.5}}, "tuned": {tuned}}}')


def test_a_metric_of_another_image_is_shown() -> None:
    """After those that are known, in their order."""
    assert [metric.name for metric in listed_metrics(["politeness", "perplexity", "loss"])] == ["loss", "perplexity", "politeness"]
    assert format(0.123456, metric_of("politeness").form) == "0.1235"

"""docs/data-sources.md: its snippets are what the API takes, and its Secrets are what the stages read."""

import inspect
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from finetune_api.resources.common import Credentials
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.source import Scheme, parse_address

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/data-sources.md").read_text()
SNIPPETS: list[dict[str, Any]] = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
SPECS = [snippet for snippet in SNIPPETS if "kind" not in snippet]
SECRETS = [snippet for snippet in SNIPPETS if snippet.get("kind") == "Secret"]
KEY = r"\b(?:AWS|GOOGLE|STORAGE|AZURE|HF|HTTP)_[A-Z_]+\b"


def sources(spec: FineTuneJobSpec) -> list[str]:
    """Every address in a spec."""
    return [address for address in (spec.dataset.train.source, spec.dataset.validation.source, spec.base.source) if address]


def parsed(snippet: dict[str, Any]) -> FineTuneJobSpec:
    """The smallest spec with the snippet in it."""
    return FineTuneJobSpec.model_validate({"base": {"source": "pvc://models"}, **snippet})


@pytest.mark.parametrize("snippet", SPECS, ids=lambda snippet: snippet["dataset"]["train"]["source"])
def test_a_snippet_is_what_the_api_takes(snippet: dict[str, Any]) -> None:
    """Nothing in it is unknown, and every Secret that it names is on the page."""
    text = parsed(snippet).to_json()
    assert set(re.findall(r'"secretRef":\{"name":"([^"]+)"', text)) <= {secret["metadata"]["name"] for secret in SECRETS}


def test_every_scheme_has_a_snippet() -> None:
    """http as https."""
    shown = {parse_address(source).scheme for snippet in SPECS for source in sources(parsed(snippet))}
    assert shown | {"http"} == set(get_args(Scheme))


def test_the_keys_of_the_secrets_are_those_that_are_read() -> None:
    """The page, `kubectl explain` and the code name the same."""
    code = "".join(path.read_text() for path in (ROOT / "trainer-image/finetune_trainer/sources").glob("*.py"))
    read = set(re.findall(rf'"({KEY})"', code)) - {"AZURE_FEDERATED_TOKEN_FILE"}
    explained = set(re.findall(KEY, inspect.getdoc(Credentials) or ""))
    shown = set(re.findall(KEY, PAGE)) - {"HF_HUB_OFFLINE", "HTTP_PROXY"}
    assert read == explained == shown

"""The documents say what is so: manifests, commands and links are the project's own."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "local-cluster/README.md"]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("file", ["job.yaml", "deployment.yaml"])
def test_the_readme_shows_the_example_as_it_is(file: str) -> None:
    """A manifest in the README is the committed one, but for its first comment."""
    manifest = (ROOT / "examples/support-bot" / file).read_text().split("\n", 1)[1]
    assert f"```yaml\n{manifest}```" in README


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    """`make x` in a document is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z0-9-]*)", document.read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link names a file of the project."""
    text = re.sub(r"`[^`\n]*`", "", document.read_text())
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_values_that_the_readme_sets_exist() -> None:
    """`--set a.b=...` names a value of the chart."""
    values = yaml.safe_load((ROOT / "charts/finetune-operator/values.yaml").read_text())
    for path in re.findall(r"--set ([\w.]+)=", README):
        found = values
        for key in path.split("."):
            assert key in found, path
            found = found[key]


def test_the_schema_of_the_values_knows_every_value() -> None:
    """values.yaml and values.schema.json name the same keys, two levels deep."""
    values = yaml.safe_load((ROOT / "charts/finetune-operator/values.yaml").read_text())
    schema = json.loads((ROOT / "charts/finetune-operator/values.schema.json").read_text())["properties"]
    assert set(values) == set(schema) - {"global"}
    for name, value in values.items():
        if isinstance(value, dict):
            assert set(value) == set(schema[name]["properties"]), name

"""The generated definitions: bounded, described, reachable, and up to date."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune_api.crds.definitions import custom_resource_definition, generated_files, root_schema, stale, to_yaml, write
from finetune_api.crds.schema import walk
from finetune_api.resources.kinds import KINDS, Kind

ROOT = Path(__file__).parents[4]
by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)

NAMES = [
    (
        "FineTuneJob",
        "finetunejobs",
        "ftj",
        ["Phase", "Progress", "ETA", "Loss", "Gate", "Model", "Age"],
        ["Base", "Validation-Loss", "Method", "Attempt", "Reason"],
    ),
    ("FineTunedModel", "finetunedmodels", "ftm", ["Base", "Type", "Score", "Gate", "Used by", "Size", "Ready", "Age"], ["Checkpoints"]),
    ("ModelDeployment", "modeldeployments", "mdep", ["Model", "Serving", "Ready", "Status", "Engine", "URL", "Age"], ["Checkpoint"]),
]


def nodes(kind: Kind) -> dict[str, Any]:
    """Path and schema of every field of a kind but metadata."""
    return {path: node for path, node in walk(root_schema(kind)) if path.startswith((".spec", ".status"))}


@pytest.mark.parametrize(("kind", "plural", "short", "columns", "wide"), NAMES, ids=[row[0] for row in NAMES])
def test_names_and_columns(kind: str, plural: str, short: str, columns: list[str], wide: list[str]) -> None:
    """What people type and see does not change by accident."""
    (found,) = (k for k in KINDS if k.kind == kind)
    spec = custom_resource_definition(found)["spec"]
    names, shown = spec["names"], spec["versions"][0]["additionalPrinterColumns"]
    assert (names["plural"], names["shortNames"], names["categories"]) == (plural, [short], ["finetune"])
    assert [column["name"] for column in shown if not column.get("priority")] == columns
    assert [column["name"] for column in shown if column.get("priority")] == wide


@by_kind
def test_everything_is_bounded(kind: Kind) -> None:
    """Every string, list and map has an end: the API server's cost estimate and etcd depend on it."""
    limits = {"string": ("maxLength", "enum"), "array": ("maxItems",), "object": ("maxProperties", "properties")}
    unbounded = [
        path
        for path, node in nodes(kind).items()
        if not any(limit in node for limit in limits.get("string" if "anyOf" in node else node["type"], node))
    ]
    assert unbounded == []


@by_kind
def test_no_item_of_a_list_has_a_default(kind: Kind) -> None:
    """The API server would write it into the object, and a tool that compares field by field would always see a difference."""
    assert [path for path, node in nodes(kind).items() if "[]" in path and "default" in node] == []


@by_kind
def test_every_list_says_how_it_is_merged(kind: Kind) -> None:
    """Entries with a name are distinguished by it, all else is replaced as a whole; the key of a map is required."""
    lists = {path: node for path, node in nodes(kind).items() if node.get("type") == "array"}
    keyed = {path: node["x-kubernetes-list-map-keys"] for path, node in lists.items() if node["x-kubernetes-list-type"] == "map"}
    assert {path.rpartition(".")[2] for path in keyed} <= {"env", "imagePullSecrets", "conditions"}
    assert all(key in lists[path]["items"]["required"] for path, keys in keyed.items() for key in keys)
    assert {node["x-kubernetes-list-type"] for node in lists.values()} <= {"atomic", "map"}
    assert not [path for path in lists if path.endswith(".pod.env") and path not in keyed]


@by_kind
def test_everything_in_the_spec_is_described(kind: Kind) -> None:
    """`kubectl explain` answers for every field that a person can set."""
    fields = {path: node for path, node in nodes(kind).items() if path.startswith(".spec") and path[-1] not in "]}"}
    assert [path for path, node in fields.items() if not node.get("description")] == []


@by_kind
def test_columns_show_fields_that_exist(kind: Kind) -> None:
    """A column on a field that is not in the schema would stay empty for ever."""
    paths = nodes(kind)
    shown = [column.path.partition("[?")[0] for column in kind.columns if not column.path.startswith(".metadata")]
    assert [path for path in shown if path not in paths] == []


@by_kind
def test_rules_have_a_message(kind: Kind) -> None:
    """A refusal has a message; the expression itself is not shown."""
    rules = [rule for _, node in walk(root_schema(kind)) for rule in node.get("x-kubernetes-validations", [])]
    assert rules
    assert [rule["rule"] for rule in rules if not rule.get("message")] == []


@by_kind
def test_yaml_is_plain_and_always_the_same(kind: Kind) -> None:
    """No anchors, and what is read back is what was written."""
    definition = custom_resource_definition(kind)
    text = to_yaml(definition)
    assert yaml.load(text, yaml.CSafeLoader) == definition
    assert text == to_yaml(custom_resource_definition(kind))
    assert "&id" not in text


def test_generated_files_are_up_to_date() -> None:
    """`make crds` was run after the last change of a model."""
    assert stale(ROOT) == []


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    """--check names exactly what differs."""
    assert stale(tmp_path) == list(generated_files())
    write(tmp_path)
    assert stale(tmp_path) == []
    changed = Path("docs/reference.md")
    (tmp_path / changed).write_text("something else")
    assert stale(tmp_path) == [changed]


def test_the_reference_describes_every_type_once() -> None:
    """A type that several fields share has one section, and every link leads to one."""
    text = generated_files()[Path("docs/reference.md")]
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("### ")]
    assert len(headings) == len(set(headings))
    linked = {part.partition(")")[0] for part in text.split("](#")[1:]}
    assert linked <= {heading.lower() for heading in headings}

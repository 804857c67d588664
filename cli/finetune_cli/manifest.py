"""A FineTuneJob out of a YAML file: YAML 1.2, as kubectl reads it (1e-5 is a number, `no` is a word), and the line of every field."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from finetune_api.resources import GROUP, VERSION
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_cli.problems import UnusableManifest
from finetune_cli.rules import broken_rules, fields_of, words_of_pattern

KIND = "FineTuneJob"
API_VERSION = f"{GROUP}/{VERSION}"
Where = tuple[str | int, ...]


@dataclass(frozen=True)
class JobManifest:
    """A FineTuneJob that an API server would take."""

    name: str
    spec: FineTuneJobSpec


def read_manifest(path: Path) -> JobManifest:
    """The file's first FineTuneJob. Raises UnusableManifest with all that is wrong with it."""
    document = first_job(path)
    try:
        spec = FineTuneJobSpec.model_validate(plain(document.get("spec")), by_name=False)
    except ValidationError as exc:
        raise UnusableManifest([in_words(path, document, error) for error in exc.errors()]) from exc
    broken = [f"{place(path, document, ('spec', *where))}: {shown(where)}: {message}" for where, message in broken_rules(spec)]
    if broken:
        raise UnusableManifest(broken)
    return JobManifest(str((document.get("metadata") or {}).get("name", "")), spec)


def first_job(path: Path) -> Any:
    """The YAML document, with its line numbers."""
    try:
        documents = [item for item in YAML(typ="rt").load_all(path.read_text(encoding="utf-8")) if isinstance(item, dict)]
    except OSError as exc:
        raise UnusableManifest([f"{path}: {exc.strerror}"]) from exc
    except UnicodeDecodeError as exc:
        raise UnusableManifest([f"{path}: is not UTF-8 text"]) from exc
    except MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else "?"
        raise UnusableManifest([f"{path}: line {line}: is not valid YAML: {exc.problem}"]) from exc
    except YAMLError as exc:
        raise UnusableManifest([f"{path}: is not valid YAML: {exc}"]) from exc
    jobs = [item for item in documents if item.get("kind") == KIND]
    if not jobs:
        kinds = ", ".join(str(item.get("kind")) for item in documents) or "nothing"
        raise UnusableManifest([f"{path}: holds no {KIND} (it holds {kinds})"])
    if jobs[0].get("apiVersion") != API_VERSION:
        raise UnusableManifest([f"{path}: apiVersion is {jobs[0].get('apiVersion')}, expected {API_VERSION}"])
    return jobs[0]


def plain(value: Any) -> Any:
    """ruamel's containers and numbers as Python's own."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def in_words(path: Path, document: Any, error: Any) -> str:
    """A finding of pydantic with its line."""
    where: Where = tuple(error["loc"])
    says = error["msg"]
    if error["type"] == "extra_forbidden":
        says = unknown_field(where)
    elif error["type"] == "missing":
        says = "is required"
    elif error["type"] == "string_pattern_mismatch":
        says = words_of_pattern(where) or says
    shows_value = error["type"] not in ("extra_forbidden", "missing") and not isinstance(error["input"], dict | list)
    got = f" (it is {error['input']!r})" if shows_value else ""
    return f"{place(path, document, ('spec', *where))}: {shown(where)}: {says}{got}"


def unknown_field(where: Where) -> str:
    """What to write in place of a name that the definition does not have."""
    *parents, name = where
    known = fields_of(tuple(parents))
    folded = {field.lower(): field for field in known}
    near = get_close_matches(str(name).lower(), folded, n=1, cutoff=0.7)
    if near:
        return f"is not a field (did you mean {folded[near[0]]!r}?)"
    return f"is not a field; the fields are {', '.join(sorted(known))}" if known else "is not a field"


def shown(where: Where) -> str:
    """spec.evaluation.gate[0].metric"""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)


def place(path: Path, document: Any, where: Where) -> str:
    """The file and the line of a field, or of what it would be in."""
    line, node = 1, document
    for part in where:
        try:
            line = (node.lc.item(part) if isinstance(part, int) else node.lc.key(part))[0] + 1
            node = node[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return f"{path}: line {line}"

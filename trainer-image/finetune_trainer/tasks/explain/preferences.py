"""What is wrong with a pair of answers: as conversations, and as texts."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from finetune_trainer.tasks.explain.chat import chat_problems
from finetune_trainer.tasks.explain.names import Names
from finetune_trainer.tasks.explain.problem import Problem, listed, shown, text_problems, unknown_key
from finetune_trainer.tasks.explain.weights import is_learnt

ANSWERS = ("chosen", "rejected")


def unknown_keys(row: Mapping[str, Any], known: Collection[str], extra: Collection[str] | None) -> Iterator[Problem]:
    """Keys that a pair does not have; `extra` are further keys that the row may have (None: any)."""
    for key, value in row.items():
        if extra is not None and key not in known and key not in extra and value not in (None, "", [], {}):
            yield unknown_key(key, key, known, "a row")


def answer_problems(row: dict[str, Any], called: Mapping[str, str], names: Names, answers: Collection[str] = ANSWERS) -> Iterator[Problem]:
    """All that is wrong with a prompt and its answers as lists of messages; `names` has the places of all messages, `called` what the
    file calls the fields."""
    prompt, tools = row["prompt"], {key: row[key] for key in ("tools", "parallel_tool_calls") if row.get(key) is not None}
    asked, start, found = len(prompt), len(prompt), list[Problem]()
    for field in answers:
        end = start + len(row[field])
        side = replace(names, messages=called.get(field, field), places=(*names.places[:asked], *names.places[start:end]))
        found += chat_problems({"messages": [*prompt, *row[field]], **tools}, None, side)
        start = end
    yield from dict.fromkeys(found)
    if not found:
        yield from _border_problems(row, called, names, answers)


def _border_problems(row: dict[str, Any], called: Mapping[str, str], names: Names, answers: Collection[str]) -> Iterator[Problem]:
    """Of a prompt and answers that are each right."""
    start = len(row["prompt"])
    if row["prompt"][-1]["role"] == "assistant":
        says = f"{names.message(start - 1)}.role is 'assistant', expected 'user' or 'tool': the answers come after the prompt"
        yield Problem("wrong order", says)
    for field in answers:
        name, messages = called.get(field, field), row[field]
        if messages[0]["role"] != "assistant":
            role = shown(messages[0]["role"])
            says = f"{names.message(start)}.role is {role}, expected 'assistant': what comes before it belongs to the prompt"
            yield Problem("wrong order", says)
        if not any(is_learnt(message) for message in messages if message["role"] == "assistant"):
            yield Problem("nothing to learn", f"every message of the assistant in {name} has weight 0, so there is nothing to judge")
        start += len(messages)


def text_pair_of_answers_problems(
    row: dict[str, Any], fields: tuple[str, ...], extra: Collection[str] | None, called: Mapping[str, str]
) -> Iterator[Problem]:
    """All that is wrong with three texts."""
    yield from unknown_keys(row, fields, extra)
    found: list[Problem] = []
    for field in fields:
        name = called.get(field, field)
        if field in row:
            found += text_problems(name, row[field])
        else:
            expected = listed(called.get(other, other) for other in fields)
            found.append(Problem(f"no {name}", f"has no key {name!r}: its keys are {listed(row) or 'none'}, expected {expected}"))
    yield from found
    if not found and row["chosen"].strip() == row["rejected"].strip():
        yield same_answer(called)


def same_answer(called: Mapping[str, str]) -> Problem:
    """Two answers that are one."""
    one, other = (called.get(field, field) for field in ANSWERS)
    return Problem("same answer", f"{one} and {other} are the same answer: there is nothing to prefer")

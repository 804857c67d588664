"""Alpaca's layout: {"instruction": ..., "input": ..., "output": ...}, with `system` and `history` as others have added."""

from typing import Any

from finetune_trainer.data.rows.explain import Problem, Wrong
from finetune_trainer.data.rows.explain.problem import kind_of, listed, text_problems

WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)
"""The texts that Alpaca was published with, for task completion; in a chat the instruction is the user's own message."""


def parts(row: dict[str, Any]) -> tuple[str, str, str]:
    """Instruction, input (maybe empty) and output. Raises Wrong."""
    found: list[Problem] = []
    for key in ("instruction", "output"):
        if key in row:
            found += text_problems(key, row[key])
        else:
            says = f"has no key {key!r}: its keys are {listed(row) or 'none'}, expected 'instruction', 'input' and 'output'"
            found.append(Problem(f"no {key}", says))
    given = row.get("input")
    if given is not None and not isinstance(given, str):
        found.append(Problem("input is not text", f"input is {kind_of(given)}, expected a string"))
    if found:
        raise Wrong(found)
    return row["instruction"], given if given and given.strip() else "", row["output"]


def completion_row(row: dict[str, Any]) -> dict[str, Any]:
    """For task completion. Raises Wrong."""
    instruction, given, output = parts(row)
    text = WITH_INPUT if given else WITHOUT_INPUT
    return {"prompt": text.format(instruction=instruction, input=given), "completion": output}


def chat_row(row: dict[str, Any]) -> dict[str, Any]:
    """For task chat. Raises Wrong."""
    instruction, given, output = parts(row)
    messages = []
    if isinstance(row.get("system"), str) and row["system"].strip():
        messages.append({"role": "system", "content": row["system"]})
    history = row.get("history") or []
    if not isinstance(history, list):
        raise Wrong([Problem("wrong history", f"history is {kind_of(history)}, expected an array of pairs of texts: [question, answer]")])
    for turn in history:
        if not isinstance(turn, list) or len(turn) != 2 or not all(isinstance(text, str) and text.strip() for text in turn):
            raise Wrong([Problem("wrong history", f"history has {kind_of(turn)}, expected pairs of texts: [question, answer]")])
        messages += [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1]}]
    user = f"{instruction}\n\n{given}" if given else instruction
    return {"messages": [*messages, {"role": "user", "content": user}, {"role": "assistant", "content": output}]}

"""Alpaca's layout: {"instruction": ..., "input": ..., "output": ...}, with `system` and `history` as others have added; and Dolly's."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.chat import empty
from finetune_trainer.tasks.explain.names import MessagePath, Names
from finetune_trainer.tasks.explain.problem import kind_of, listed, text_problems
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.sharegpt import media_problem
from finetune_trainer.tasks.layouts.steps import Known

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


@dataclass(frozen=True)
class Instructions:
    """Rows of an instruction, maybe an input to it, and an output."""

    as_chat: bool
    """For task chat; otherwise for task completion."""
    instruction: str = "instruction"
    given: str = "input"
    output: str = "output"

    @property
    def fields(self) -> set[str]:
        """Those that are read."""
        return {self.instruction, self.given, self.output} | ({"system", "history"} if self.as_chat else set())

    def __call__(self, row: dict[str, Any], context: Context) -> dict[str, Any]:
        """The task's own layout; the context learns what a conversation's parts are called. Raises Wrong."""
        instruction, given, output = self.parts(row)
        if not self.as_chat:
            text = WITH_INPUT if given else WITHOUT_INPUT
            return {"prompt": text.format(instruction=instruction, input=given), "completion": output}
        messages, places = before(row)
        user = f"{instruction}\n\n{given}" if given else instruction
        context.names = Names(places=(*places, MessagePath(self.instruction, self.instruction), MessagePath(self.output, self.output)))
        return {"messages": [*messages, {"role": "user", "content": user}, {"role": "assistant", "content": output}]}

    def parts(self, row: dict[str, Any]) -> tuple[str, str, str]:
        """Instruction, input (maybe empty) and output. Raises Wrong."""
        found = [problem for key in ("images", "videos", "audios") if (problem := media_problem(key, row.get(key)))]
        for key in (self.instruction, self.output):
            if key in row:
                found += text_problems(key, row[key])
            else:
                expected = f"expected {self.instruction!r}, {self.given!r} and {self.output!r}"
                found.append(Problem(f"no {key}", f"has no key {key!r}: its keys are {listed(row) or 'none'}, {expected}"))
        given = row.get(self.given)
        if given is not None and not isinstance(given, str):
            found.append(Problem(f"{self.given} is not text", f"{self.given} is {kind_of(given)}, expected a string"))
        if found:
            raise Wrong(found)
        return row[self.instruction], given if given and given.strip() else "", row[self.output]


def instructions(keys: Collection[str], *, as_chat: bool) -> Known | None:
    """Alpaca's layout, or Dolly's, where a file has its fields."""
    if {"instruction", "output"} <= set(keys):
        words, step = "Alpaca", Instructions(as_chat)
    elif {"instruction", "response"} <= set(keys):
        words, step = "Dolly", Instructions(as_chat, given="context", output="response")
    else:
        return None
    return Known(words, steps=(step,), used=frozenset(step.fields))


def before(row: dict[str, Any]) -> tuple[list[dict[str, Any]], list[MessagePath]]:
    """The messages of a row's `system` and `history`, and where they are. Raises Wrong."""
    messages: list[dict[str, Any]] = []
    places: list[MessagePath] = []
    system = row.get("system")
    if not empty(system) and not (isinstance(system, str) and not system.strip()):
        if found := list(text_problems("system", system)):
            raise Wrong(found)
        messages.append({"role": "system", "content": system})
        places.append(MessagePath("system", "system"))
    history = row.get("history") or []
    if not isinstance(history, list):
        raise Wrong([Problem("wrong history", f"history is {kind_of(history)}, expected an array of pairs of texts: [question, answer]")])
    for index, turn in enumerate(history):
        if not isinstance(turn, list) or len(turn) != 2 or not all(isinstance(text, str) and text.strip() for text in turn):
            raise Wrong([Problem("wrong history", f"history has {kind_of(turn)}, expected pairs of texts: [question, answer]")])
        messages += [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1]}]
        places += [MessagePath(f"history[{index}]", f"history[{index}][{side}]") for side in (0, 1)]
    return messages, places

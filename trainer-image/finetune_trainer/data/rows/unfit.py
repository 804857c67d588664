"""Why a file is of no use to a task, and what to do: words about the fields of its rows."""

from collections.abc import Sequence

from finetune_trainer.tasks import TASKS, AnyTask
from finetune_trainer.tasks.explain.problem import listed
from finetune_trainer.tasks.layouts.forms import PAIR, Hint, Records, Unfit, is_turns, known_form, proposal


def known_elsewhere(keys: Sequence[str]) -> bool:
    """True when the fields are those of some task's rows."""
    return any(signs <= set(keys) for task in TASKS.values() for signs in task.signs)


def unfit(task: AnyTask, keys: Sequence[str], first: Records) -> Unfit:
    """For a file with these fields."""
    expected = " and ".join(f"{field!r}" for field in task.required)
    fields = f"their fields are {listed(keys, 20)}"
    for signs, what in ((signs, what) for other in TASKS.values() for signs, what in other.signs.items()):
        others = [other.name for other in TASKS.values() if signs in other.signs]
        if signs <= set(keys) and task.name not in others:
            says = f"holds {what}, which is data for task {' or '.join(others)}, and the job's task is {task.name}: set task: {others[0]}"
            return Unfit(f"{says}, or use a file whose rows have {expected}", "task")
    if form := known_form(keys, first):
        return Unfit(f"{form.text}; {fields}", form.field)
    return Unfit(f"has no rows of task {task.name}, which have {expected}; {fields}: {advice(task, keys, first)}", "columns")


def advice(task: AnyTask, keys: Sequence[str], first: Records) -> str:
    """What to do about fields with other names: columns for those that hold what the task needs."""
    turns = next((key for key in keys if any(is_turns(row.get(key)) for row in first)), None)
    if turns and "conversations" in task.json_fields:
        return f"rename {turns!r} to 'conversations', which ShareGPT's turns (from, value) are read from"
    left = [key for key in keys if key not in task.fields]
    choices = (task.required, PAIR) if task.pair_columns else (task.required,)
    proposals = (proposal([field for field in wanted if field not in keys], left, first, task.hints) for wanted in choices)
    named = next(filter(None, proposals), None)
    plain = "; plain text is learned with task: completion" if task.pair_columns and "text" in keys else ""
    template = "; or build the texts with template" if task.pair is not None else ""
    if named is None:
        what = " and ".join(task.hints.get(field, Hint()).what for field in task.required)
        return f"none of them holds {what}{template}{plain}"
    names = ", ".join(f"{field}: {name}" for field, name in named.items())
    return f"name them with columns: {{{names}}}{template}{plain}"

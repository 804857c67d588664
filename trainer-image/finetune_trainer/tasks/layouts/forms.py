"""Forms of rows that are known and not read as they are: each with its name and the next step. Judged by names and by values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from finetune_trainer.tasks.explain.problem import listed

Fields = dict[str, Any]
Records = list[Fields]
"""The first records of a file, those that are objects."""
PAIR = ("prompt", "completion")
_SPANS = 'to tag tokens, write a list of words and one tag for each: {"tokens": ["Maria", "sleeps"], "tags": ["B-PER", "O"]}'


class Unfit(Exception):
    """A file cannot be read for this task; says why. `field` is what to change: task, columns, template, or the source itself."""

    def __init__(self, text: str, field: str) -> None:
        super().__init__(text)
        self.field = field

    @property
    def about_file(self) -> bool:
        """True when the text goes on after the file's name, False when it begins with the field."""
        return not str(self).startswith(self.field)


class Form(NamedTuple):
    """What a file holds, and what to do: the text goes on after the file's name."""

    text: str
    field: str = "source"
    """The part of the spec to change."""


def spans(keys: Sequence[str], first: Records) -> Form | None:
    """Labels of places in a text, which are not a label of the whole text."""
    name = next((key for key in ("label", "labels") if any(is_spans(row.get(key)) for row in first)), None)
    if name is None or "text" not in keys:
        return None
    return Form(f"holds spans of the text in {name!r} (doccano: start, end, label): {_SPANS}")


def rated(keys: Sequence[str], first: Records) -> Form | None:
    """Answers with a judgement instead of answers to learn."""
    if not {*PAIR, "label"} <= set(keys) or not all(isinstance(row.get("label"), bool) for row in first):
        return None
    return Form(
        "holds answers that are labelled good or bad (KTO): set method.objective: kto to learn from both, with task chat or completion, or "
        "keep the rows whose label is true, and remove the label",
        "objective",
    )


def preference(fields: tuple[str, str], keys: Sequence[str], first: Records, *, chat: bool) -> Form | None:
    """Pairs of a better and a worse answer; `fields` are the task's for a prompt and an answer."""
    better = next((good for good, bad in _PREFERENCES if {good, bad} <= set(keys)), "")
    if not better:
        return None
    both = "set method.objective: dpo (or orpo) to learn which of them is better, or, " if fields == PAIR else ""
    says = (
        "holds pairs of a better and a worse answer (preference data, DPO), and supervised training takes one answer: "
        f"{both}to learn {better!r}"
    )
    chosen: list[Any] = [row[better] for row in first if row.get(better) is not None]
    if chat and chosen and all(is_messages(value) and value[0].get("role") != "assistant" for value in chosen):
        return Form(f"{says} alone, set columns: {{messages: {better}}}", "columns")
    prompt = next(
        (key for key in ("prompt", "instruction", "question", "query", "input") if all(is_text(row.get(key)) for row in first)), ""
    )
    if prompt and chosen and all(map(is_text, chosen)):
        return Form(f"{says} alone, set columns: {{{fields[0]}: {prompt}, {fields[1]}: {better}}}", "columns")
    return Form(f'{says} alone, write it as the last message of each row: {{"messages": [..., {{"role": "assistant", "content": ...}}]}}')


_PREFERENCES = (("chosen", "rejected"), ("preferred_output", "non_preferred_output"), ("preferred", "rejected"))


def known_form(keys: Sequence[str], first: Records) -> Form | None:
    """The name of a form that no task reads, and how to write it."""
    return next((form for look in _LOOKS if (form := look(set(keys), first))), None)


def _tool_calls(keys: set[str], first: Records) -> Form | None:
    if not {"query", "tools", "answers"} <= keys:
        return None
    return Form(
        "holds tool calls as xLAM writes them (query, tools, answers): write chat rows, the query as the user's message, the answers as "
        'tool_calls of the assistant\'s, and each tool as {"type": "function", "function": {"name": ..., "parameters": JSON Schema}}'
    )


def _spans(keys: set[str], first: Records) -> Form | None:
    name = next((key for row in first for key, value in row.items() if is_spans(value)), None)
    return Form(f"holds spans of the text in {name!r} (start, end, label): {_SPANS}") if name else None


def _label_studio(keys: set[str], first: Records) -> Form | None:
    if "data" not in keys or not keys & {"annotations", "completions", "predictions"}:
        return None
    return Form(
        "is an export of Label Studio with all its annotations: export it as JSON-MIN or CSV (of spans: as CONLL2003), a label per row"
    )


def _gemini(keys: set[str], first: Records) -> Form | None:
    if "contents" not in keys or not any(isinstance(row.get("contents"), list) for row in first):
        return None
    return Form(
        'holds chats as Gemini writes them (contents, parts): write {"messages": [{"role": "user", "content": ...}, ...]}, with '
        "assistant for model and a first message of role system for systemInstruction"
    )


def _segments(keys: set[str], first: Records) -> Form | None:
    if "segments" not in keys:
        return None
    return Form("holds segments with labels (Axolotl's template-free form): write chat rows, whose messages say by weight what is learned")


def _tokenised(keys: set[str], first: Records) -> Form | None:
    if "input_ids" not in keys:
        return None
    return Form("holds token ids (input_ids): training starts from the text, which is tokenised with the base's own tokenizer")


def _one_message(keys: set[str], first: Records) -> Form | None:
    if not {"role", "content"} <= keys:
        return None
    return Form('has one message per row: a row is a whole conversation, {"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}')


def _one_word(keys: set[str], first: Records) -> Form | None:
    words = next((key for key in keys if key.lower() in ("word", "token")), None)
    tags = next((key for key in keys if key.lower() in ("tag", "ner", "ner_tag", "label")), None)
    if not words or not tags or not all(isinstance(row.get(words), str) and not str(row[words]).startswith("[") for row in first):
        return None
    return Form(
        f'has one word per row ({words!r}, {tags!r}): a row is a whole sentence, {{"tokens": ["Maria", "sleeps"], "tags": ["B-PER", "O"]}}'
    )


def _indicators(keys: set[str], first: Records) -> Form | None:
    columns = [key for key in first[0] if all(key in row and row[key] in (0, 1, "0", "1") for row in first)] if len(first) > 1 else []
    if len(columns) < 2:
        return None
    says = f"has a column of 0 and 1 for each label ({listed(columns, 4)})"
    return Form(f'{says}: write one field with the names of those that hold, "label": [{", ".join(map(quoted, columns[:2]))}]')


def quoted(name: str) -> str:
    """As JSON."""
    return f'"{name}"'


_LOOKS: tuple[Callable[[set[str], Records], Form | None], ...] = (
    _tool_calls,
    _label_studio,
    _spans,
    _gemini,
    _segments,
    _tokenised,
    _one_message,
    _one_word,
    _indicators,
)


def is_text(value: Any) -> bool:
    """A text."""
    return isinstance(value, str)


def is_messages(value: Any) -> bool:
    """A list of messages with roles."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "role" in item for item in value)


def is_turns(value: Any) -> bool:
    """A list of ShareGPT's turns."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "from" in item for item in value)


def is_words(value: Any) -> bool:
    """A list of texts or numbers, or the JSON text of a list."""
    if isinstance(value, str):
        return value.startswith("[") and value.endswith("]")
    return isinstance(value, list) and all(isinstance(item, str | int) for item in value)


def is_label(value: Any) -> bool:
    """A class, or a list of classes."""
    return isinstance(value, str | int) or (isinstance(value, list) and all(isinstance(item, str | int) for item in value))


def is_spans(value: Any) -> bool:
    """A list of places in a text with labels, as objects or as [start, end, label]."""
    if not isinstance(value, list) or not value:
        return False
    return all(_is_span(item) for item in value)


def _is_span(item: Any) -> bool:
    if isinstance(item, dict):
        return any({start, end} <= item.keys() for start, end in (("start", "end"), ("start_offset", "end_offset"), ("begin", "end")))
    return isinstance(item, list) and len(item) == 3 and all(type(place) is int for place in item[:2]) and isinstance(item[2], str)


def looks_like_data(names: tuple[str, ...], first: Records) -> bool:
    """True when the "names" in a CSV's first line are a row: sentences, numbers, or values that other rows have in the same column."""
    return any(_is_value(name) for name in names) or any(any(row.get(name) == name for row in first) for name in names)


def _is_value(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return len(name.split()) > 4 or len(name) > 48 or name[-1:] in ".!?"
    return True


def headerless(names: tuple[str, ...], expected: str) -> Form:
    """A CSV without a header line."""
    says = f"has no header line: its first line ({listed(names, 3)}) looks like a row"
    return Form(f"{says}. Put a line with the names of the columns before it ({expected})")


class Hint(NamedTuple):
    """What a field of a task may be called in files, and what it holds."""

    names: tuple[str, ...] = ()
    """The likeliest first."""
    what: str = "a text"
    holds: Callable[[Any], bool] = is_text


SINGLE_ANSWERS = {
    "messages": "messages",
    "conversations": "messages",
    "completion": "completion",
    "output": "completion",
    "response": "completion",
}
"""What files call the answer of a row that has one -> the field that it can be."""
PAIR_HINTS = {
    "prompt": Hint(("prompt", "question", "query", "instruction", "input", "problem", "source", "user", "q")),
    "completion": Hint(("completion", "answer", "response", "output", "reply", "target", "solution", "assistant", "a")),
}


def proposal(missing: Iterable[str], keys: Sequence[str], first: Records, hints: Mapping[str, Hint]) -> dict[str, str] | None:
    """Which of a file's fields may be which of the task's: "..." where that cannot be seen; None where a field of its kind is not there."""
    found: dict[str, str] = {}
    for field in missing:
        hint = hints.get(field, Hint())
        fits = [key for key in keys if key not in found.values() and _holds(key, hint.holds, first)]
        if not fits:
            return None
        hinted = [key for name in hint.names for key in fits if key.lower() == name]
        found[field] = hinted[0] if hinted else "..."
    for field in missing:
        left = [key for key in keys if key not in found.values() and _holds(key, hints.get(field, Hint()).holds, first)]
        if found[field] == "..." and len(left) == 1 and list(found.values()).count("...") == 1:
            found[field] = left[0]
    return found


def _holds(key: str, holds: Callable[[Any], bool], first: Records) -> bool:
    values = [row[key] for row in first if row.get(key) is not None]
    return not first or (bool(values) and sum(map(holds, values)) * 2 > len(values))

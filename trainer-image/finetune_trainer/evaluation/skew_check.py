"""Is the published model asked what was trained? Held-out requests, tokenised from its own files as the server does it, against the
tokens of their examples."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tokenizers import Tokenizer

from finetune_api.model_directory import SkewCheck
from finetune_text.chat_template import TemplateRefusal
from finetune_text.encoder_tokenizer import EncoderTokenizer, Input
from finetune_text.positions import usable_positions
from finetune_text.prompts import Prompts, read_prompts
from finetune_text.tokenizer_files import read_object
from finetune_trainer.workspace.requests import HeldOutRequest

ADVICE = "check tokenizer.json, tokenizer_config.json and chat_template.jinja of the base model, and train again"
_SHOWN = 4
"""Tokens that are shown of each side where they part."""


def check_skew(folder: Path, requests: Sequence[HeldOutRequest], max_length: int) -> SkewCheck:
    """`folder` holds the tokenizer's files of the published model; `max_length` is the longest sequence of the training."""
    if not requests:
        return SkewCheck(prompts=0, equal=0)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    asked: Sequence[list[int] | None] = (
        inputs(tokenizer, requests) if requests[0].input is not None else prompts(folder, tokenizer, requests)
    )
    parted = [difference(tokenizer, request, ids) for request, ids in zip(requests, asked, strict=True) if not agrees(ids, request)]
    first = next(iter(parted), None if requests[0].input is None else length_difference(folder, max_length))
    return SkewCheck(prompts=len(requests), equal=len(requests) - len(parted), difference=first)


def inputs(tokenizer: Tokenizer, requests: Sequence[HeldOutRequest]) -> list[list[int]]:
    """What the server makes of a classifier's inputs."""
    encoder = EncoderTokenizer(tokenizer)
    return [encoder.encode(input_of(request)).ids for request in requests]


def input_of(request: HeldOutRequest) -> Input:
    """A text, a pair of texts or words."""
    assert request.input is not None, "requests of one file are of one kind"
    return (request.input, request.pair) if isinstance(request.input, str) and request.pair is not None else request.input


def prompts(folder: Path, tokenizer: Tokenizer, requests: Sequence[HeldOutRequest]) -> list[list[int] | None]:
    """What the server makes of chats and texts; where the template tells the time, it is that of the training. None: it refuses."""
    now = next((datetime.fromisoformat(request.now) for request in requests if request.now), None)
    found = read_prompts(folder, tokenizer, lambda: now or datetime.now())
    return [prompt(found, request) for request in requests]


def prompt(found: Prompts, request: HeldOutRequest) -> list[int] | None:
    """One of them."""
    if request.prompt is not None:
        return found.text(request.prompt)
    try:
        return found.chat(request.messages or [], request.tools)
    except TemplateRefusal:
        return None


def agrees(asked: list[int] | None, request: HeldOutRequest) -> bool:
    """True when an example of the row has these tokens where the answer begins."""
    return asked is not None and any(asked == (trained[: len(asked)] if request.whole else trained) for trained in request.trained)


def difference(tokenizer: Tokenizer, request: HeldOutRequest, asked: list[int] | None) -> str:
    """Where they part, for people."""
    if asked is None:
        return f"validation row {request.where}: the published chat template refuses the prompt that the model was trained with: {ADVICE}"
    trained = max(request.trained, key=lambda ids: common(ids, asked), default=[])
    place = common(trained, asked)
    texts = [repr(tokenizer.decode(ids[place : place + _SHOWN], skip_special_tokens=False)) for ids in (trained, asked)]
    return f"validation row {request.where}: from token {place} on the model was trained with {texts[0]} but is served {texts[1]}: {ADVICE}"


def common(one: list[int], other: list[int]) -> int:
    """How many tokens at the beginning are equal."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def length_difference(folder: Path, max_length: int) -> str | None:
    """What is wrong with the length of a classifier's inputs, if something is."""
    found = usable_positions(read_object(folder / "config.json"))
    if found is None or found >= max_length:
        return None
    return f"the model was trained on inputs of up to {max_length} tokens and takes {found}: lower hyperparameters.maxSequenceLength"

"""POST /v1/token-classify: the entities of texts, and the tags of words."""

from dataclasses import asdict, replace
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Request
from numpy.typing import NDArray
from starlette.responses import Response

from finetune_server.classification.classes import Classes, softmax
from finetune_server.classification.entities import Tagged, first_of_words, grouped
from finetune_server.classification.tokenizer import EncoderInput, RequestTokenizer, TextToken
from finetune_server.http.dependencies import MetricsDependency, TokenClassifierDependency, check_model_name
from finetune_server.http.errors import json_response
from finetune_server.http.routes.classifications import Classifications
from finetune_server.http.schemas.body import body_of
from finetune_server.http.schemas.classification import TokenClassifyBody

router = APIRouter()


@router.post("/v1/token-classify")
async def token_classify(
    request: Request,
    model: TokenClassifierDependency,
    body: Annotated[TokenClassifyBody, Depends(body_of(TokenClassifyBody))],
    metrics: MetricsDependency,
) -> Response:
    """The entities of each text, or the tags and entities of each list of words."""
    check_model_name(body.model, model)
    classifications = await Classifications.of(request, model, body.input, truncate=body.truncate, tokens=True)
    logits = await classifications.logits(request, metrics)
    results = [
        in_words(one, tagged_tokens(encoded, row, model.classes))
        if isinstance(one, list)
        else in_text(one, tagged_tokens(encoded, row, model.classes), model.tokenizer, first=body.aggregation_strategy == "first")
        for one, encoded, row in zip(body.input, classifications.inputs, logits, strict=True)
    ]
    return json_response(classifications.response("token-classify", results))


def tagged_tokens(encoded: EncoderInput, logits: NDArray[np.float32], classes: Classes) -> list[tuple[TextToken, Tagged]]:
    """Each token of the text with its most likely tag. Logits are of shape (tokens, classes)."""
    probabilities = softmax(logits)
    best = probabilities.argmax(axis=-1)
    return [
        (token, Tagged(token.text, token.start, token.end, classes.names[best[token.position]], float(probabilities[token.position].max())))
        for token in encoded.tokens
    ]


def in_text(text: str, tokens: list[tuple[TextToken, Tagged]], tokenizer: RequestTokenizer, *, first: bool) -> dict[str, object]:
    """A text's entities; start and end are character offsets."""
    spelled = [(token, replace(tagged, text=tokenizer.spelling(token, text))) for token, tagged in tokens]
    parts = first_of_words(spelled, tokenizer.joined) if first else [tagged for _, tagged in spelled]
    return {"entities": [asdict(entity) for entity in grouped(parts, tokenizer.joined)]}


def in_words(words: list[str], tokens: list[tuple[TextToken, Tagged]]) -> dict[str, object]:
    """Each word's tag, which is that of its first token, and the entities; start and end are word offsets.

    A word without tokens has no tag: the tokenizer drops all of its characters, or the input was cut before it.
    """
    tags: list[str | None] = [None] * len(words)
    scores: list[float | None] = [None] * len(words)
    for token, tagged in reversed(tokens):
        if token.word is not None:
            tags[token.word], scores[token.word] = tagged.tag, tagged.score
    tagged_words = [
        Tagged(word, place, place + 1, tag, score)
        for place, (word, tag, score) in enumerate(zip(words, tags, scores, strict=True))
        if tag is not None and score is not None
    ]
    return {"tags": tags, "scores": scores, "entities": [asdict(entity) for entity in grouped(tagged_words, " ".join)]}

"""POST /v1/token-classify against the Hugging Face pipeline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.running_server import RunningServer

pytestmark = pytest.mark.server

TEXTS = [
    "Angela Merkel lives in Berlin, Germany.",
    "Ich heiße Jürgen Österreicher-Müller (o'Brien) & wohne in São Paulo!",
    "  internationalization   of the U.S. of A.\n\tunaffable 😀 ok",
    "word",
    "James Tiberius Kirk, born 22.3.2233 in Riverside/Iowa. " * 12,
]
Pipeline = Callable[..., Any]


@pytest.fixture(scope="module")
def pipeline(classifiers: Path) -> Pipeline:
    """Transformers' own."""
    from transformers import pipeline

    folder = str(classifiers / "token-classification/hf")
    found: Pipeline = pipeline("token-classification", model=folder, tokenizer=folder)
    return found


def token_classify(server: RunningServer, input: object, **parameters: object) -> list[dict[str, Any]]:
    """The data of a successful answer."""
    response = server.post("/v1/token-classify", input=input, **parameters)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["object"] == "list" and answer["id"].startswith("token-classify-")
    assert [one["index"] for one in answer["data"]] == list(range(len(answer["data"])))
    return list(answer["data"])


def comparable(entity: dict[str, Any]) -> dict[str, Any]:
    """With a score of plain float that may differ by rounding."""
    return entity | {"score": pytest.approx(float(entity["score"]), abs=2e-3)}


@pytest.mark.parametrize("strategy", ["simple", "first"])
def test_entities_of_texts(token_server: RunningServer, pipeline: Pipeline, strategy: str) -> None:
    """The same entities as the pipeline's, field by field, for texts of different length in one request."""
    found = token_classify(token_server, TEXTS, aggregation_strategy=strategy)
    expected = pipeline(TEXTS, aggregation_strategy=strategy)
    assert [one["entities"] for one in found] == [[comparable(entity) for entity in entities] for entities in expected]
    assert all({text[entity["start"]] for entity in one["entities"]} for text, one in zip(TEXTS[:2], found[:2], strict=True))
    assert "tags" not in found[0]


def test_first_is_the_default(token_server: RunningServer) -> None:
    """A classifier is trained on the first token of each word, so words are what their first token is."""
    assert token_classify(token_server, TEXTS[1]) == token_classify(token_server, TEXTS[1], aggregation_strategy="first")


def test_tags_of_words(token_server: RunningServer, classifiers: Path) -> None:
    """Given words have the tag of their first token, as PyTorch gives it, and entities of whole words."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    words = ["Jürgen", "Österreicher-Müller", "lives", "in", "São", "Paulo", "."]
    folder = classifiers / "token-classification/hf"
    network: Any = AutoModelForTokenClassification.from_pretrained(folder).eval()
    encoded: Any = AutoTokenizer.from_pretrained(folder)(words, is_split_into_words=True, return_tensors="pt")
    with torch.inference_mode():
        probabilities = network(**encoded).logits[0].softmax(-1)
    first = [encoded.word_ids().index(word) for word in range(len(words))]
    names = network.config.id2label
    (found,) = token_classify(token_server, [words])
    assert found["tags"] == [names[int(probabilities[place].argmax())] for place in first]
    assert found["scores"] == [pytest.approx(float(probabilities[place].max()), abs=2e-3) for place in first]
    for entity in found["entities"]:
        assert entity["word"] == " ".join(words[entity["start"] : entity["end"]])
        assert {tag[2:] for tag in found["tags"][entity["start"] : entity["end"]]} == {entity["entity_group"]}
    in_entities = sum(entity["end"] - entity["start"] for entity in found["entities"])
    assert in_entities == sum(tag != "O" for tag in found["tags"]) > 0


def test_words_without_a_tag(token_server: RunningServer) -> None:
    """A word that the tokenizer drops, or that was cut off, has no tag; the others keep theirs."""
    (found,) = token_classify(token_server, [["Angela", "\u200b", "Merkel"]])
    assert [tag is None for tag in found["tags"]] == [score is None for score in found["scores"]] == [False, True, False]
    (cut,) = token_classify(token_server, [["word"] * 600], truncate=True)
    assert [tag is None for tag in cut["tags"]] == [False] * 510 + [True] * 90


@pytest.mark.parametrize(
    "parameters, param, text",
    [
        ({"input": [[]]}, "input", "entry 0 is neither a text nor a list of texts"),
        ({"input": [["a"], [""]]}, "input", "entry 1 is neither a text nor a list of texts, or contains an empty one"),
        ({"input": "a", "aggregation_strategy": "max"}, "aggregation_strategy", "'simple' or 'first'"),
        ({"input": ["a", ["word"] * 600]}, "input", "However, input[1] resulted in 602 tokens"),
    ],
)
def test_refusals(token_server: RunningServer, parameters: dict[str, Any], param: str, text: str) -> None:
    """Each wrong parameter is refused by name."""
    response = token_server.post("/v1/token-classify", **parameters)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert text in error["message"]

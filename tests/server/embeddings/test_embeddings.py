"""POST /v1/embeddings with OpenAI's client, against transformers."""

import base64
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import BadRequestError, NotFoundError

from tests.server.running_server import NAME, RunningServer

pytestmark = pytest.mark.server
TEXTS = ["Where is my parcel?", "rain " * 100, "The invoice is wrong.", "!"]
DIMENSIONS = 384


@pytest.fixture(scope="module")
def expected(classifiers: Path) -> np.ndarray[Any, Any]:
    """Mean of PyTorch's last layer over the tokens of one text at a time, of length 1."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = classifiers / "text-embedding/hf"
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    network: Any = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        means = [network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy() for text in TEXTS]
    return np.stack([mean / np.linalg.norm(mean) for mean in means])


def test_the_official_client_gets_the_vectors_of_the_model(embedding_server: RunningServer, expected: Any) -> None:
    """Several texts padded beside each other; the client asks for base64 and decodes it."""
    with embedding_server.client() as client:
        answer = client.embeddings.create(model=NAME, input=TEXTS)
    assert [entry.index for entry in answer.data] == [0, 1, 2, 3]
    assert np.array([entry.embedding for entry in answer.data]) == pytest.approx(expected, abs=1e-4)
    assert (answer.object, answer.model, answer.data[0].object) == ("list", NAME, "embedding")
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 7 + 102 + 9 + 3


def post(server: RunningServer, **body: object) -> httpx.Response:
    """The raw answer."""
    return server.post("/v1/embeddings", **body)


def test_both_encodings_have_the_same_numbers(embedding_server: RunningServer, expected: Any) -> None:
    """A text alone; numbers by default, else little-endian fp32."""
    plain = post(embedding_server, input=TEXTS[0]).json()["data"][0]["embedding"]
    coded = post(embedding_server, input=TEXTS[0], encoding_format="base64").json()["data"][0]["embedding"]
    assert plain == pytest.approx(expected[0], abs=1e-4)
    assert np.frombuffer(base64.b64decode(coded), "<f4") == pytest.approx(plain, abs=1e-7)


def test_token_ids_are_taken_as_they_are(embedding_server: RunningServer, classifiers: Path, expected: Any) -> None:
    """With special tokens: the same as their text, alone and in a list beside other ids."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(classifiers / "text-embedding/hf/tokenizer.json"))
    tokenizer.no_padding()
    first, third = tokenizer.encode(TEXTS[0]).ids, tokenizer.encode(TEXTS[2]).ids
    assert post(embedding_server, input=first).json()["data"][0]["embedding"] == pytest.approx(expected[0], abs=1e-4)
    both = post(embedding_server, input=[third, first]).json()["data"]
    assert [entry["embedding"] for entry in both] == [pytest.approx(expected[2], abs=1e-4), pytest.approx(expected[0], abs=1e-4)]


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"input": ""}, "input", "none of them empty"),
        ({"input": []}, "input", "expected a text, token ids, or a list of 1 to 2048"),
        ({"input": ["a", ""]}, "input", "none of them empty"),
        ({"input": [[1], []]}, "input", "none of them empty"),
        ({"input": ["a"] * 2049}, "input", "1 to 2048"),
        ({"input": [10**6]}, "input", "holds token id 1000000"),
        ({"input": "rain " * 600}, "input", "maximum context length is 512 tokens. However, input[0] resulted in 602 tokens"),
        ({"input": "a", "dimensions": 64}, "dimensions", "does not support specifying dimensions: its embeddings have 384"),
        ({"input": "a", "dimensions": 0}, "dimensions", "greater than or equal to 1"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "'float' or 'base64'"),
        ({"input": "a", "truncate": True}, "truncate", "Unrecognized request argument supplied: truncate"),
        ({}, "input", "Missing required parameter: 'input'"),
    ],
)
def test_a_wrong_request_is_refused_with_its_parameter(body: Any, param: str, words: str, embedding_server: RunningServer) -> None:
    """400 in OpenAI's form."""
    answer = post(embedding_server, **body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"]


def test_the_models_own_size_is_no_wrong_one(embedding_server: RunningServer) -> None:
    """dimensions as the model has them."""
    assert len(post(embedding_server, input="a", dimensions=DIMENSIONS).json()["data"][0]["embedding"]) == DIMENSIONS


def test_names_and_endpoints(embedding_server: RunningServer, sequence_server: RunningServer) -> None:
    """An unknown model is a 404; other endpoints, and other models at this endpoint, name the right one."""
    with embedding_server.client() as client:
        with pytest.raises(NotFoundError, match="does not exist"):
            client.embeddings.create(model="other", input="a")
        with pytest.raises(BadRequestError, match="Use POST /v1/embeddings"):
            client.completions.create(model=NAME, prompt="a")
        listed = client.models.list().data[0].model_dump()
    assert (listed["task"], listed["dimensions"]) == ("text-embedding", DIMENSIONS)
    with sequence_server.client() as client, pytest.raises(BadRequestError, match="Use POST /v1/classify"):
        client.embeddings.create(model=NAME, input="a")

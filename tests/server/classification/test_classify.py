"""POST /v1/classify against transformers, alone and under load."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError

from tests.server.conftest import CONCURRENCY, QUEUE
from tests.server.running_server import NAME, RunningServer

pytestmark = pytest.mark.server

RUNNING = "finetune_server_running_requests"
WAITING = "finetune_server_waiting_requests"
LABELS = ["billing", "shipping", "other"]
TOLERANCE = 2e-3
"""The heads are stretched (export_classifiers.py), and so is the rounding of fp32."""
LENGTHS = {"invoice": 1, "parcel": 200, "rain": 3, "the": 40, "paid": 7, "of": 150, "my": 15, "late": 64, "7": 2, "!": 2}
TEXTS = [f"{word} " * length for word, length in LENGTHS.items()]
"""Rows of very different and of equal length."""


@pytest.fixture(scope="module")
def expected(classifiers: Path) -> list[list[float]]:
    """PyTorch's probabilities, one text at a time."""
    return probabilities(classifiers / "sequence-classification/hf", [(text,) for text in TEXTS])


def probabilities(folder: Path, inputs: list[tuple[str, ...]]) -> list[list[float]]:
    """Transformers' softmax over each input."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    network: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return [network(**tokenizer(*one, return_tensors="pt")).logits.softmax(-1)[0].tolist() for one in inputs]


def classify(server: RunningServer, input: object, **parameters: object) -> dict[str, Any]:
    """A successful answer."""
    response = server.post("/v1/classify", input=input, **parameters)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_the_shape(sequence_server: RunningServer) -> None:
    """vLLM's fields, and the scores by name; the usage counts special tokens and no padding."""
    answer = classify(sequence_server, "Where is my parcel?")
    (data,) = answer["data"]
    assert answer["id"].startswith("classify-")
    assert (answer["object"], answer["model"]) == ("list", NAME)
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}
    assert (data["index"], data["num_classes"], list(data["scores"])) == (0, 3, LABELS)
    assert list(data["scores"].values()) == data["probs"]
    assert sum(data["probs"]) == pytest.approx(1, abs=1e-5)
    assert data["label"] == LABELS[data["probs"].index(max(data["probs"]))]
    assert "labels" not in data


def test_equal_to_transformers(sequence_server: RunningServer, expected: list[list[float]]) -> None:
    """Texts of different length in one request, padded together, have PyTorch's probabilities, in their order."""
    data = classify(sequence_server, TEXTS)["data"]
    assert [one["index"] for one in data] == list(range(len(TEXTS)))
    for one, wanted in zip(data, expected, strict=True):
        assert one["probs"] == pytest.approx(wanted, abs=TOLERANCE)
    assert len({one["label"] for one in data}) > 1


def test_concurrent_requests_share_batches(sequence_server: RunningServer, expected: list[list[float]]) -> None:
    """Requests of many clients are answered as they would be alone, and there are fewer batches than rows."""
    before = [sequence_server.metric(f"finetune_server_batch{name}_total") for name in ("es", "_rows")]
    with ThreadPoolExecutor(CONCURRENCY + QUEUE) as pool:
        answers = list(pool.map(lambda i: classify(sequence_server, TEXTS[i % len(TEXTS)]), range(60)))
    for i, answer in enumerate(answers):
        assert answer["data"][0]["probs"] == pytest.approx(expected[i % len(TEXTS)], abs=TOLERANCE)
    batches, rows = (
        sequence_server.metric(f"finetune_server_batch{name}_total") - value for name, value in zip(("es", "_rows"), before, strict=True)
    )
    assert batches <= rows == 60


def test_pairs(sequence_server: RunningServer, classifiers: Path) -> None:
    """A pair of texts is one input, its second text distinguished from the first; texts and pairs may be mixed."""
    pair = ("Is it here?", "It comes tomorrow.")
    wanted = probabilities(classifiers / "sequence-classification/hf", [pair, ("Hello",)])
    data = classify(sequence_server, [list(pair), "Hello"])["data"]
    assert [one["probs"] for one in data] == [pytest.approx(probs, abs=TOLERANCE) for probs in wanted]


def test_multi_label(multi_label_server: RunningServer) -> None:
    """Each label is judged by itself: `labels` are those above one half, `label` is the most likely one all the same."""
    data = classify(multi_label_server, TEXTS)["data"]
    for one in data:
        assert one["labels"] == [name for name, score in one["scores"].items() if score > 0.5]
        assert one["scores"][one["label"]] == max(one["probs"])
    assert len({len(one["labels"]) for one in data}) > 1
    assert any(sum(one["probs"]) > 1.1 for one in data)


@pytest.mark.parametrize(
    "parameters, param, text",
    [
        ({"input": ""}, "input", "entry 0 is neither a text"),
        ({"input": []}, "input", "expected a text, or a list of 1 to 2048 inputs"),
        ({"input": ["a"] * 2049}, "input", "a list of 1 to 2048 inputs"),
        ({"input": {}}, "input", "a list of 1 to 2048 inputs"),
        ({"input": ["a", []]}, "input", "entry 1 is neither a text nor a list of texts"),
        ({"input": [["a"]]}, "input", "entry 0 has 1 texts; expected a text, or a pair of texts"),
        ({"input": ["a", ["a", "b", "c"]]}, "input", "entry 1 has 3 texts"),
        ({"input": [5]}, "input", "entry 0 is neither a text"),
        ({"input": [["a", ""]]}, "input", "or contains an empty one"),
        ({}, "input", "Missing required parameter"),
        ({"input": "a", "encoding_format": "float"}, "encoding_format", "Unrecognized request argument"),
        ({"input": "a", "truncate": "yes"}, "truncate", "valid boolean"),
        ({"input": ["a", "word " * 600]}, "input", "maximum context length is 512 tokens. However, input[1] resulted in 602 tokens"),
    ],
)
def test_refusals(sequence_server: RunningServer, parameters: dict[str, Any], param: str, text: str) -> None:
    """Each wrong parameter is refused by name."""
    response = sequence_server.post("/v1/classify", **parameters)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert text in error["message"]


def test_truncate(sequence_server: RunningServer) -> None:
    """With truncate, what is longer than the model is cut, a pair's longer text first; what fits stays as it is."""
    long, pair, short = "word " * 600, ["Hello", "word " * 600], "Hello"
    whole = classify(sequence_server, [long, pair, short], truncate=True)
    assert whole["usage"]["prompt_tokens"] == 512 + 512 + 3
    cut = classify(sequence_server, ["word " * 510, ["Hello", "word " * 508], short])
    assert [one["probs"] for one in whole["data"]] == [pytest.approx(one["probs"], abs=1e-5) for one in cut["data"]]


def test_a_batch_of_long_texts(sequence_server: RunningServer) -> None:
    """A classifier takes bodies of up to 8 MiB, whatever its context; one input is at most 1 MiB of it."""
    found = sequence_server.post("/v1/classify", input=["x" * 10_000] * 200)  # a word that long is one token
    assert found.status_code == 200 and len(found.json()["data"]) == 200
    book = sequence_server.post("/v1/classify", input=["a", "word " * 300_000], truncate=True)
    assert (book.status_code, book.json()["error"]["code"]) == (400, "string_above_max_length")
    assert "input[1] has 1500000 characters; this server takes at most 1048576 in one input" in book.json()["error"]["message"]
    assert sequence_server.post("/v1/classify", input=["word " * 200_000] * 9, truncate=True).status_code == 413


def test_other_endpoints(sequence_server: RunningServer, token_server: RunningServer, server: RunningServer) -> None:
    """A model refuses what it is not made for, whatever the body, and names the endpoint to use."""
    for running, path, endpoint in [
        (sequence_server, "/v1/chat/completions", "POST /v1/classify"),
        (sequence_server, "/v1/completions", "POST /v1/classify"),
        (sequence_server, "/v1/token-classify", "POST /v1/classify"),
        (token_server, "/v1/classify", "POST /v1/token-classify"),
        (token_server, "/v1/chat/completions", "POST /v1/token-classify"),
        (server, "/v1/classify", "POST /v1/chat/completions or POST /v1/completions"),
        (server, "/v1/token-classify", "POST /v1/chat/completions or POST /v1/completions"),
    ]:
        response = running.post(path)
        error = response.json()["error"]
        assert (response.status_code, error["param"], error["code"]) == (400, "model", "unsupported_endpoint")
        assert f"is not available at this endpoint. Use {endpoint}." in error["message"]
    with sequence_server.client() as client, pytest.raises(BadRequestError, match="sequence-classification"):
        client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": "Hello"}])


def test_another_model(sequence_server: RunningServer) -> None:
    """A model that is not served is OpenAI's 404."""
    response = sequence_server.post("/v1/classify", model="gpt-4", input="a")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


def test_models(sequence_server: RunningServer, multi_label_server: RunningServer) -> None:
    """The model's object tells its task and its classes by index."""
    for running, multi_label in ((sequence_server, False), (multi_label_server, True)):
        with running.client() as client:
            (model,) = client.models.list().data
        found = model.model_dump()
        assert (found["id"], found["task"], found["labels"], found["multi_label"]) == (
            NAME,
            "sequence-classification",
            LABELS,
            multi_label,
        )


def test_metrics_and_log(sequence_server: RunningServer) -> None:
    """Requests, tokens and padding are counted, and the log has a line of each request."""
    names = ("requests_total", "prompt_tokens_total", "batch_rows_total", "batch_tokens_total", "request_seconds_count")
    before = [sequence_server.metric(f"finetune_server_{name}") for name in names]
    classify(sequence_server, ["Hello", "Hello you"])
    grown = [sequence_server.metric(f"finetune_server_{name}") - value for name, value in zip(names, before, strict=True)]
    assert grown == [1, 7, 2, 7, 1]
    assert 'endpoint="classify"' in sequence_server.get("/metrics")[1]
    line = sequence_server.log_lines()[-1]
    assert (line["path"], line["status"], line["prompt_tokens"]) == ("/v1/classify", 200, 7)


class Asking:
    """A request of many long texts that its client can leave."""

    def __init__(self, server: RunningServer) -> None:
        body = json.dumps({"model": NAME, "input": ["word " * 300] * 180}).encode()
        self._connection = socket.create_connection(("127.0.0.1", server.port))
        self._connection.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def leave(self) -> None:
        """Closes the connection."""
        self._connection.close()


def test_a_full_queue(sequence_server: RunningServer) -> None:
    """One request more than may run and wait is refused with 429 and Retry-After; clients that leave free their places."""
    sequence_server.wait_for_metric(RUNNING, 0)
    asking = [Asking(sequence_server) for _ in range(CONCURRENCY + QUEUE)]
    sequence_server.wait_for_metric(WAITING, QUEUE)
    refused = sequence_server.post("/v1/classify", input="Hello")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused.headers["retry-after"] == "1"
    for one in asking:
        one.leave()
    sequence_server.wait_for_metric(WAITING, 0)
    sequence_server.wait_for_metric(RUNNING, 0)
    sequence_server.wait_for_log('"path": "/v1/classify", "status": 499')


def test_a_small_request_does_not_wait_for_a_big_one(sequence_server: RunningServer) -> None:
    """A text that comes while a request of many long ones is computed is answered first."""
    finished: list[str] = []

    def ask(name: str, input: object) -> None:
        classify(sequence_server, input)
        finished.append(name)

    big = threading.Thread(target=ask, args=("big", ["word " * 300] * 120))
    big.start()
    sequence_server.wait_for_metric(RUNNING, 1)
    ask("small", "Hello")
    big.join(timeout=60)
    assert finished == ["small", "big"]


def test_drain(classifiers: Path, tmp_path: Path) -> None:
    """After SIGTERM a request in progress is answered, and the program ends with 0."""
    with RunningServer.start(classifiers / "sequence-classification", tmp_path / "log") as server:
        answers: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: answers.append(classify(server, ["word " * 300] * 20)))
        asking.start()
        server.wait_for_metric(RUNNING, 1)
        server.terminate()
        asking.join(timeout=60)
        assert len(answers[0]["data"]) == 20
        assert server.process.wait(timeout=30) == 0

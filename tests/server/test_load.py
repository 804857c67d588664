"""Many clients at once: slots, the queue, and clients that leave."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from openai import OpenAI, RateLimitError
from openai.types.chat import ChatCompletion

from tests.server.conftest import CONCURRENCY, QUEUE
from tests.server.running_server import RunningServer

pytestmark = pytest.mark.server

RUNNING = "finetune_server_running_requests"
WAITING = "finetune_server_waiting_requests"
LONG = {"model": "support-bot", "messages": [{"role": "user", "content": "Count"}], "max_tokens": 450}
"""With a high temperature no end token comes early, so it takes long enough to look at."""


def ask(client: OpenAI, seed: int, tokens: int = 40) -> ChatCompletion:
    """An answer of some tokens."""
    answer = client.chat.completions.create(
        model="support-bot", messages=[{"role": "user", "content": "Count"}], temperature=2, seed=seed, max_tokens=tokens
    )
    assert isinstance(answer, ChatCompletion)
    return answer


class Stream:
    """A streamed answer of 450 tokens that its reader can leave."""

    def __init__(self, server: RunningServer, seed: int) -> None:
        body = LONG | {"temperature": 2, "seed": seed, "stream": True}
        self._client = httpx.Client(timeout=60)
        request = self._client.build_request("POST", f"{server.url}/v1/chat/completions", json=body)
        self._response = self._client.send(request, stream=True)
        assert self._response.status_code == 200

    def leave(self) -> None:
        """Closes the connection."""
        self._response.close()
        self._client.close()


@pytest.fixture
def full_slots(server: RunningServer) -> list[Stream]:
    """All slots taken by streams that go on for a while."""
    server.wait_for_metric(RUNNING, 0)
    streams = [Stream(server, seed) for seed in range(CONCURRENCY)]
    server.wait_for_metric(RUNNING, CONCURRENCY)
    return streams


def test_nine_requests_at_concurrency_eight(client: OpenAI) -> None:
    """The ninth waits for a slot, and all nine are answered as they would be alone."""
    with ThreadPoolExecutor(CONCURRENCY + 1) as pool:
        together = list(pool.map(lambda seed: ask(client, seed), range(CONCURRENCY + 1)))
    assert all(answer.choices[0].finish_reason in ("stop", "length") for answer in together)
    assert [answer.choices[0].message.content for answer in together[:3]] == [
        ask(client, seed).choices[0].message.content for seed in range(3)
    ]


def test_a_leaving_client_frees_its_slot(server: RunningServer, client: OpenAI, full_slots: list[Stream]) -> None:
    """A request that waits behind full slots is answered as soon as one client goes, long before the others are done."""
    answers: list[ChatCompletion] = []
    waiting = threading.Thread(target=lambda: answers.append(ask(client, 1, tokens=2)))
    waiting.start()
    server.wait_for_metric(WAITING, 1)
    full_slots[0].leave()
    waiting.join(timeout=60)
    assert len(answers) == 1
    assert server.metric(RUNNING) == CONCURRENCY - 1
    for stream in full_slots[1:]:
        stream.leave()
    server.wait_for_metric(RUNNING, 0)


def test_a_full_queue(server: RunningServer, client: OpenAI, full_slots: list[Stream]) -> None:
    """One request more than may run and wait is refused with 429 and Retry-After; waiting clients may leave too."""
    waiting = [threading.Thread(target=lambda: httpx_ask(server), daemon=True) for _ in range(QUEUE)]
    for thread in waiting:
        thread.start()
    server.wait_for_metric(WAITING, QUEUE)
    with pytest.raises(RateLimitError) as refused:
        ask(client, 1)
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.response.headers["retry-after"] == "1"
    for stream in full_slots:
        stream.leave()
    for thread in waiting:
        thread.join(timeout=60)
    server.wait_for_metric(RUNNING, 0)
    assert server.metric(WAITING) == 0


def httpx_ask(server: RunningServer) -> None:
    """An unstreamed answer whose content does not matter."""
    httpx.post(f"{server.url}/v1/chat/completions", json=LONG | {"max_tokens": 2}, timeout=60)


def test_an_unstreamed_client_leaves(server: RunningServer) -> None:
    """A client that gives up an unstreamed answer frees its slot as well, and the log says that it went."""
    server.wait_for_metric(RUNNING, 0)
    with pytest.raises(httpx.ReadTimeout):
        body = {"model": "support-bot", "prompt": "Once", "max_tokens": 500, "temperature": 2, "seed": 3}
        httpx.post(f"{server.url}/v1/completions", json=body, timeout=0.3)
    server.wait_for_metric(RUNNING, 0, timeout=5)
    server.wait_for_log('"path": "/v1/completions", "status": 499')


def test_metrics_and_log(server: RunningServer, client: OpenAI) -> None:
    """Requests, tokens and times are counted, and each request is one line in the log."""
    names = (
        "prompt_tokens_total",
        "completion_tokens_total",
        "requests_total",
        "time_to_first_token_seconds_count",
        "request_seconds_count",
    )
    before = [server.metric(f"finetune_server_{name}") for name in names]
    usage = ask(client, 1, tokens=5).usage
    assert usage is not None
    grown = [server.metric(f"finetune_server_{name}") - value for name, value in zip(names, before, strict=True)]
    assert grown == [usage.prompt_tokens, usage.completion_tokens, 1, 1, 1]
    assert server.metric("finetune_server_ready") == 1
    line = server.log_lines()[-1]
    assert (line["message"], line["path"], line["status"]) == ("request", "/v1/chat/completions", 200)
    assert (line["prompt_tokens"], line["completion_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)

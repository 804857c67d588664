"""No request, and no number of them, stops the server: probes answer meanwhile, memory stays bounded, and then all is as before."""

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.running_server import NAME, RunningServer

pytestmark = pytest.mark.server

LIMIT = 1024 * 1024
"""Of a body, for a model with a short context."""
MEMORY = 256
"""MiB that an attack may add: a few bodies, twice what the largest takes when parsed, and the tokens of two."""
CLIENT_TIMEOUT = 2
CROWD = 170
PROBES = 2
"""Connections of the probes and of those who look on."""
USER = {"role": "user", "content": "Hello"}


@pytest.fixture(scope="module")
def attacked(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Two requests run, one waits; clients have two seconds."""
    limits = ("--max-concurrency", "2", "--max-queue", "1", "--max-context", "512", "--client-timeout", str(CLIENT_TIMEOUT))
    with RunningServer.start(model, tmp_path_factory.mktemp("server") / "log", *limits) as running:
        yield running


@contextlib.contextmanager
def unimpressed(server: RunningServer) -> Iterator[None]:
    """Whatever happens inside: probes answer, memory is bounded, and after it a request is answered."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before = peak_megabytes(server)
    over = threading.Event()
    answers: list[int] = []

    def probe() -> None:
        while not over.is_set():
            answers.extend(server.get(path)[0] for path in ("/healthz", "/readyz"))
            time.sleep(0.05)

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        yield
    finally:
        over.set()
        prober.join()
    assert answers and set(answers) == {200}
    assert peak_megabytes(server) - before < MEMORY
    server.wait_for_metric("finetune_server_running_requests", 0)
    assert server.post("/v1/chat/completions", messages=[USER], max_tokens=1).status_code == 200


def peak_megabytes(server: RunningServer) -> int:
    """The most memory that the process had at once."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


def chat(**more: Any) -> bytes:
    """A body as small as JSON can be."""
    return json.dumps({"model": NAME, "messages": [USER]} | more, separators=(",", ":")).encode()


def filled(one: object, **around: Any) -> list[object]:
    """As many of it as fit into a body beside the rest."""
    return [one] * ((LIMIT - 4096) // (len(json.dumps(one, separators=(",", ":"))) + 1))


def nested(depth: int, value: object) -> object:
    """A value at the bottom of so many objects."""
    for _ in range(depth):
        value = {"a": value}
    return value


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None}


def calls(count: int) -> list[dict[str, object]]:
    """An assistant's message with so many calls, each answered, the last one first."""
    made = [{**CALL, "id": str(number)} for number in range(count)]
    answers: list[dict[str, object]] = [{"role": "tool", "content": "", "tool_call_id": str(n)} for n in reversed(range(count))]
    return [{**ASKED, "tool_calls": made}, *answers]


def tool(parameters: object) -> dict[str, object]:
    """A function with these parameters."""
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


BODIES: list[tuple[str, bytes, int, str]] = [
    ("messages", chat(messages=filled({"role": "user", "content": ""})), 400, "messages"),
    ("wrong messages", chat(messages=filled(1)), 400, "messages"),
    ("calls", chat(messages=calls(8000)), 400, "messages"),
    (
        "answers",
        chat(messages=[{**ASKED, "tool_calls": [CALL]}, *filled({"role": "tool", "content": "", "tool_call_id": ""})]),
        400,
        "messages",
    ),
    ("parts", chat(messages=[{"role": "user", "content": filled({"type": "text", "text": ""})}]), 400, "messages[0].content"),
    ("fields", chat(messages=[USER | {f"{number:x}": 1 for number in range(90_000)}]), 400, "messages[0]"),
    ("parameters", chat(**{f"{number:x}": 1 for number in range(90_000)}), 400, "0"),
    ("stop strings", chat(stop=filled("a")), 400, "stop"),
    ("a stop string", chat(stop="a" * (LIMIT - 4096)), 400, "stop[0]"),
    ("tools", chat(tools=filled(tool({}))), 400, "tools"),
    ("a deep schema", chat(tools=[tool(nested(150, filled(1)))]), 400, "tools[0].function.parameters"),
    ("deeper than JSON goes", b'{"messages":' + b"[" * (LIMIT - 4096), 400, ""),
    ("a long number", b'{"seed":' + b"1" * (LIMIT - 4096) + b"}", 400, ""),
    ("a long text", chat(messages=[{"role": "user", "content": "a b " * (LIMIT // 5)}]), 400, "messages"),
    ("values nobody asked for", chat(metadata=filled([])), 400, "metadata"),
]


@pytest.mark.parametrize("body, status, param", [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_bodies(attacked: RunningServer, body: bytes, status: int, param: str) -> None:
    """A body of the largest size that is made to be expensive is refused by the name of what is too much, many at once are too many."""
    assert LIMIT // 2 < len(body) <= LIMIT
    with unimpressed(attacked), ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda _: post(attacked, body), range(6)))
    assert {answer.status_code for answer in answers} <= {status, 408, 429}  # 408 on a machine too busy to take a body in two seconds
    refused = [answer.json()["error"] for answer in answers if answer.status_code == status]
    assert [error["param"] or "" for error in refused] == [param] * len(refused)
    assert any(answer.status_code != 429 for answer in answers)


def post(server: RunningServer, body: bytes) -> httpx.Response:
    """The answer to these bytes."""
    return httpx.post(f"{server.url}/v1/chat/completions", content=body, timeout=60)


def test_a_full_server_reads_no_body(attacked: RunningServer) -> None:
    """When no more requests may wait, one is refused from its head alone."""
    with contextlib.ExitStack() as stack:
        for seed in range(3):
            body = {"model": NAME, "prompt": "Once", "max_tokens": 500, "temperature": 2, "seed": seed, "stream": True}
            stack.enter_context(httpx.stream("POST", f"{attacked.url}/v1/completions", json=body, timeout=60))
        client = stack.enter_context(connected(attacked))
        client.sendall(head("Content-Length: 1000000"))
        assert client.recv(4096).startswith(b"HTTP/1.1 429")


def test_a_body_larger_than_the_limit(attacked: RunningServer) -> None:
    """The length that a head promises is enough for 413; without one, the bytes that came are counted."""
    with unimpressed(attacked):
        with connected(attacked) as client:
            client.sendall(head(f"Content-Length: {8 * LIMIT}"))
            assert client.recv(4096).startswith(b"HTTP/1.1 413")
        chunks = (b"x" * 65536 for _ in range(8 * LIMIT // 65536))
        assert httpx.post(f"{attacked.url}/v1/completions", content=chunks, timeout=60).status_code == 413


def head(*headers: str) -> bytes:
    """The head of a chat completion's request."""
    return "\r\n".join(["POST /v1/chat/completions HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def connected(server: RunningServer) -> socket.socket:
    """A connection."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def nothing(_client: socket.socket) -> None:
    """Connects and is silent."""


def half_a_head(client: socket.socket) -> None:
    """Ends within a header."""
    client.sendall(head()[:-3])


def half_a_body(client: socket.socket) -> None:
    """Promises more than it sends."""
    client.sendall(head("Content-Length: 100000") + b"{" * 1000)


def a_second_half(client: socket.socket) -> None:
    """A whole request, and half of another one."""
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + head()[:-3])


def no_end(client: socket.socket) -> None:
    """Is refused, and goes on sending data that are not read."""
    client.sendall(head(f"Content-Length: {100 * LIMIT}") + b"x" * 1000)


def no_reader(client: socket.socket) -> None:
    """Asks and asks, and reads no answer."""
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)


def crumbs(client: socket.socket) -> None:
    """A body in chunks of one byte."""
    with contextlib.suppress(ConnectionError):
        client.sendall(head("Transfer-Encoding: chunked") + b"1\r\nx\r\n" * 50_000)


@pytest.mark.parametrize("begin", [nothing, half_a_head, half_a_body, a_second_half, no_end, no_reader, crumbs])
def test_clients_that_stop_half_way(attacked: RunningServer, begin: Callable[[socket.socket], None]) -> None:
    """A crowd of clients that never come to an end lose their connections."""
    before = open_files(attacked)
    with unimpressed(attacked), contextlib.ExitStack() as stack:
        for client in [stack.enter_context(connected(attacked)) for _ in range(5 if begin is no_reader else CROWD)]:
            begin(client)
        wait_until_gone(attacked, before + PROBES)


def test_clients_that_trickle(attacked: RunningServer) -> None:
    """A byte now and then does not begin the time anew."""
    before = open_files(attacked)
    with unimpressed(attacked), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(attacked)) for _ in range(CROWD)]
        for client in clients:
            half_a_head(client)
        for _ in range(4):
            time.sleep(CLIENT_TIMEOUT / 4)
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"x")
        wait_until_gone(attacked, before + PROBES)


def open_files(server: RunningServer) -> int:
    """Connections among them."""
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def wait_until_gone(server: RunningServer, before: int) -> None:
    """Until the server has no more connections than it had."""
    end = time.monotonic() + 60
    while (now := open_files(server)) > before:
        assert time.monotonic() < end, f"{now} open files, before {before}"
        time.sleep(0.1)


def test_more_connections_than_there_may_be(attacked: RunningServer) -> None:
    """A new client always gets in; the one that has been silent for the longest time makes room."""
    with unimpressed(attacked), contextlib.ExitStack() as stack:
        before = open_files(attacked)
        clients = [stack.enter_context(connected(attacked)) for _ in range(1100)]
        assert clients[0].recv(1) == b""
        wait_until_gone(attacked, before + 1099)  # the closed connection goes with the next turn of the loop


def test_a_list_of_prompts(attacked: RunningServer) -> None:
    """Each prompt takes a place, and one request not more than half of them."""
    answer = attacked.post("/v1/completions", prompt=["a", "b"])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")
    assert "at most 1 in one request" in answer.json()["error"]["message"]

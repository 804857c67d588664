"""Files of web servers: what a server may answer, and what becomes of it."""

import base64
import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunNetwork, RunSource
from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.open import fetch_file
from finetune_trainer.sources.subject import Subject
from tests.unit.sources.web_server import Answer, WebServer, serving

ROWS = b'{"messages": []}\n' * 5000
PLAIN = {"Content-Type": "application/x-ndjson"}
RESUMABLE = {**PLAIN, "Accept-Ranges": "bytes", "ETag": '"v1"'}
LOCAL = ["127.0.0.0/8", "::1"]


@pytest.fixture
def server() -> Iterator[WebServer]:
    """A server of this test's own."""
    with serving() as running:
        running.paths["/rows.jsonl"] = Answer(body=ROWS, headers=PLAIN)
        yield running


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waits between attempts."""
    monkeypatch.setattr("finetune_trainer.sources.web.RETRY_SECONDS", 0)
    monkeypatch.setattr("finetune_trainer.sources.web.LONGEST_WAIT", 0)


class Fetch:
    """Fetches into a folder and keeps what was reported on the way."""

    def __init__(self, folder: Path) -> None:
        self.target = folder / "downloads" / "train"
        self.arrived = 0
        self.room: list[int] = []

    def __call__(self, url: str, allowed: list[str] = LOCAL, prefix: str = "") -> bytes:
        subject = Subject(RunSource(uri=url).name, "dataset.train.source", "DataNotFound")
        network = RunNetwork(allowed_private=allowed)
        path = fetch_file(RunSource(uri=url, env_prefix=prefix), subject, self.target, self.room.append, self.count, network)
        assert [entry.name for entry in path.parent.iterdir()] == ["train"]
        return path.read_bytes()

    def count(self, number: int) -> None:
        self.arrived += number

    def failure(self, url: str, allowed: list[str] = LOCAL, prefix: str = "") -> StageFailure:
        """What it ends with; there is no file then."""
        with pytest.raises(StageFailure) as caught:
            self(url, allowed, prefix)
        assert caught.value.error.param == "dataset.train.source"
        assert not self.target.exists()
        return caught.value


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """See Fetch."""
    return Fetch(tmp_path)


def test_a_file_arrives_as_it_is(server: WebServer, fetch: Fetch) -> None:
    """Room is asked for before, and every byte is counted."""
    assert fetch(server.url("/rows.jsonl")) == ROWS
    assert (fetch.room, fetch.arrived) == ([len(ROWS)], len(ROWS))


REFUSED = [
    (Answer(401), "AccessDenied", "answered 401 Unauthorized: name a Secret with HTTP_BEARER_TOKEN"),
    (Answer(403), "AccessDenied", "answered 403 Forbidden: name a Secret with HTTP_BEARER_TOKEN"),
    (Answer(404), "DataNotFound", "file not found: the server answered 404 Not Found"),
    (Answer(410), "DataNotFound", "file not found: the server answered 410 Gone"),
    (Answer(400), "InvalidSource", "the server answered 400 Bad Request, and 200 OK is needed"),
    (Answer(204, length=None), "InvalidSource", "the server answered 204 No Content, and 200 OK is needed"),
    (Answer(304, length=None), "InvalidSource", "the server answered 304 Not Modified"),
    (Answer(200, b"<html>", {"Content-Type": "text/html; charset=utf-8"}), "InvalidSource", "a web page (text/html), probably an error"),
    (Answer(200, b"<html/>", {"Content-Type": "application/xhtml+xml"}), "InvalidSource", "a web page (application/xhtml+xml)"),
    (Answer(200, b"x", {"Content-Encoding": "br"}), "InvalidSource", "the server sent it encoded as br"),
    (Answer(302), "InvalidSource", "the server answered 302 Found"),
]


@pytest.mark.parametrize(("answer", "code", "words"), REFUSED, ids=[f"{row[0].status}-{row[2][-12:]}" for row in REFUSED])
def test_answers_that_are_not_the_file(server: WebServer, fetch: Fetch, answer: Answer, code: str, words: str) -> None:
    """A new attempt would get the same answer, so none is made."""
    server.paths["/rows.jsonl"] = answer
    failure = fetch.failure(server.url("/rows.jsonl"))
    assert (failure.exit_code, failure.error.code) == (ExitCode.INVALID_INPUT, code)
    assert words in failure.error.message
    assert len(server.asked) == 1


AGAIN = [
    (Answer(500), "the server answered 500 Internal Server Error"),
    (Answer(502), "the server answered 502 Bad Gateway"),
    (Answer(503, headers={"Retry-After": "120"}), "the server answered 503 Service Unavailable"),
    (Answer(429), "the server answered 429 Too Many Requests"),
    (Answer(408), "the server answered 408 Request Timeout"),
    (Answer(body=ROWS[:1000], length=len(ROWS), headers=PLAIN), "the connection was interrupted after 1,000 bytes"),
    (Answer(body=b"5\r\nhello\r\n", headers={"Transfer-Encoding": "chunked"}), "the connection was interrupted after 5 bytes"),
    (Answer(body=gzip.compress(ROWS)[:-20], headers={"Content-Encoding": "gzip"}), "the connection was interrupted after"),
    (Answer(body=b"no gzip at all", headers={"Content-Encoding": "gzip"}), "the connection was interrupted after 0 bytes"),
]


@pytest.mark.parametrize(("answer", "words"), AGAIN, ids=[row[1][-12:] for row in AGAIN])
def test_answers_that_may_be_better_later(server: WebServer, fetch: Fetch, answer: Answer, words: str) -> None:
    """Attempts are bounded; then the stage ends with the code that lets the operator try again."""
    server.paths["/rows.jsonl"] = answer
    failure = fetch.failure(server.url("/rows.jsonl"))
    assert (failure.exit_code, failure.error.code) == (ExitCode.SOURCE_UNAVAILABLE, "SourceUnavailable")
    assert words in failure.error.message
    assert len(server.asked) == 4


@contextmanager
def silent() -> Iterator[int]:
    """Port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@contextmanager
def closed() -> Iterator[int]:
    """A port on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    yield port


@pytest.mark.parametrize("server_kind", [silent, closed])
def test_a_server_that_is_not_there(fetch: Fetch, monkeypatch: pytest.MonkeyPatch, server_kind: type) -> None:
    """Unreachable is retryable."""
    monkeypatch.setattr("finetune_trainer.sources.web.READ_SECONDS", 0.1)
    with server_kind() as port:
        failure = fetch.failure(f"http://127.0.0.1:{port}/rows.jsonl")
    assert failure.exit_code == ExitCode.SOURCE_UNAVAILABLE


def test_a_name_that_nobody_has(fetch: Fetch) -> None:
    """It may be a name server that is away."""
    failure = fetch.failure("https://no-such-host.invalid/rows.jsonl")
    assert failure.exit_code == ExitCode.SOURCE_UNAVAILABLE
    assert "the name no-such-host.invalid cannot be resolved" in failure.error.message


def test_another_attempt_may_succeed(server: WebServer, fetch: Fetch) -> None:
    """A failure in between is no failure of the stage; what had arrived is fetched anew where the server cannot send a part."""
    cut = Answer(body=ROWS[:1000], length=len(ROWS), headers=PLAIN)
    server.paths["/rows.jsonl"] = lambda headers, before: [Answer(503), cut, Answer(body=ROWS, headers=PLAIN)][before]
    assert fetch(server.url("/rows.jsonl")) == ROWS
    assert fetch.arrived == len(ROWS)
    assert all("range" not in headers for _, headers in server.asked)


def test_a_download_goes_on_where_it_broke_off(server: WebServer, fetch: Fetch) -> None:
    """With the version's name, so that two versions are never mixed."""

    def rest(headers: dict[str, str], before: int) -> Answer:
        if not before:
            return Answer(body=ROWS[:1000], length=len(ROWS), headers=RESUMABLE)
        assert (headers["range"], headers["if-range"]) == ("bytes=1000-", '"v1"')
        return Answer(206, ROWS[1000:], {**RESUMABLE, "Content-Range": f"bytes 1000-{len(ROWS) - 1}/{len(ROWS)}"})

    server.paths["/rows.jsonl"] = rest
    assert fetch(server.url("/rows.jsonl")) == ROWS
    assert (fetch.arrived, fetch.room) == (len(ROWS), [len(ROWS), len(ROWS) - 1000])


@pytest.mark.parametrize(
    "second",
    [
        Answer(body=ROWS * 2, headers=RESUMABLE),
        Answer(206, ROWS[:500], {"Content-Range": f"bytes 0-499/{len(ROWS)}"}),
        Answer(416),
    ],
    ids=["whole", "another part", "no such part"],
)
def test_a_file_that_changed_meanwhile_is_fetched_anew(server: WebServer, fetch: Fetch, second: Answer) -> None:
    """No byte of the old version stays."""
    first = Answer(body=ROWS[:1000], length=len(ROWS), headers=RESUMABLE)
    whole = Answer(body=ROWS * 2, headers=RESUMABLE)
    server.paths["/rows.jsonl"] = lambda headers, before: [first, second, whole][before]
    assert fetch(server.url("/rows.jsonl")) == ROWS * 2
    assert fetch.arrived == len(ROWS) * 2


@pytest.mark.parametrize("packed", [gzip.compress(ROWS), gzip.compress(ROWS[:100]) + gzip.compress(ROWS[100:])], ids=["one", "members"])
def test_what_was_packed_for_the_way_is_unpacked(server: WebServer, fetch: Fetch, packed: bytes) -> None:
    """Servers do so unasked; a file that is gzip itself stays as it is."""
    server.paths["/rows.jsonl"] = Answer(body=packed, headers={"Content-Encoding": "gzip"})
    server.paths["/rows.jsonl.gz"] = Answer(body=packed, headers={"Content-Type": "application/gzip"})
    assert fetch(server.url("/rows.jsonl")) == ROWS
    assert fetch(server.url("/rows.jsonl.gz")) == packed


def test_a_length_that_nobody_tells(server: WebServer, fetch: Fetch) -> None:
    """Room is asked for in steps while the bytes arrive."""
    server.paths["/rows.jsonl"] = Answer(body=ROWS, headers=PLAIN, length=None)
    assert fetch(server.url("/rows.jsonl")) == ROWS
    assert fetch.room == [16 << 20]


@pytest.mark.parametrize("length", [-1, None], ids=["told", "not told"])
def test_a_file_for_which_there_is_no_room(server: WebServer, tmp_path: Path, length: int | None) -> None:
    """The download ends with the words of whoever knows the room, before it fills the disk."""

    def full(count: int) -> None:
        raise StageFailure(ExitCode.STORAGE_FULL, "StorageFull", f"no room for {count}")

    server.paths["/rows.jsonl"] = Answer(body=ROWS, headers=PLAIN, length=length)
    source = RunSource(uri=server.url("/rows.jsonl"))
    subject = Subject(source.name, "dataset.train.source", "DataNotFound")
    with pytest.raises(StageFailure, match="no room for"):
        fetch_file(source, subject, tmp_path / "train", full, lambda count: None, RunNetwork(allowed_private=LOCAL))
    assert (tmp_path / ".train.part").stat().st_size == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 999 \xff\xfe\x1b[31m\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 418 \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 302 Found\r\nLocation: http://[]@\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 x\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_whatever_a_server_sends_has_words(fetch: Fetch, raw: bytes) -> None:
    """Never a traceback, and no message that cannot be written as JSON."""

    def answer(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(raw)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, args=(listening,), daemon=True).start()
        failure = fetch.failure(f"http://127.0.0.1:{listening.getsockname()[1]}/rows.jsonl")
        listening.shutdown(socket.SHUT_RDWR)
    assert failure.error.code in ("InvalidSource", "SourceUnavailable")
    assert failure.error.message.isascii()
    assert failure.error.message.isprintable()


# ---- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: WebServer, fetch: Fetch, status: int) -> None:
    """Whole addresses and relative ones."""
    server.redirect("/a", "/b", status)
    server.redirect("/b", server.url("/rows.jsonl"), status)
    assert fetch(server.url("/a")) == ROWS


def test_five_redirects_and_not_six(server: WebServer, fetch: Fetch) -> None:
    """A circle has an end."""
    for number in range(5):
        server.redirect(f"/{number}", f"/{number + 1}")
    server.paths["/5"] = Answer(body=ROWS)
    assert fetch(server.url("/0")) == ROWS
    fetch.target.unlink()
    server.redirect("/start", "/0")
    assert "more than 5 redirects" in fetch.failure(server.url("/start")).error.message


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254 is a cloud's metadata service"),
        ("http://metadata.google.internal/", "is the name of a cloud's metadata service"),
        ("http://10.0.0.1/", "10.0.0.1 is a private or reserved address"),
        ("http://[::ffff:10.0.0.1]/", "is a private or reserved address"),
        ("http://2852039166/", "the address cannot be used"),
        ("http://0xa9fea9fe/", "metadata service"),
        ("ftp://example.com/x", "redirects from https must use https"),
        ("file:///etc/passwd", "cannot be used"),
        ("http://user:secret@127.0.0.1/", "an address with a user name in it"),
        ("http://[::1", "an address that cannot be used"),
        ("http://[]@", "an address that cannot be used"),
        ("http://a:b:c/", "an address that cannot be used"),
    ],
)
def test_every_hop_is_checked(server: WebServer, fetch: Fetch, target: str, words: str) -> None:
    """A public server cannot lead the stage to what it may not ask itself."""
    server.redirect("/rows.jsonl", target)
    failure = fetch.failure(server.url("/rows.jsonl"))
    assert failure.error.code == "InvalidSource"
    assert words in failure.error.message
    assert "secret" not in failure.error.message


# ---- addresses that are not public


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_is_refused_unless_it_is_listed(server: WebServer, fetch: Fetch, host: str) -> None:
    """By its literal address and by name; nothing is asked."""
    failure = fetch.failure(server.url("/rows.jsonl", host), allowed=[])
    assert failure.error.code == "InvalidSource"
    assert "loopback address; data is fetched from public addresses only" in failure.error.message
    assert server.asked == []


@pytest.mark.parametrize("allowed", [["127.0.0.0/8", "::1/128"], ["localhost"]])
def test_a_listed_name_or_network(server: WebServer, fetch: Fetch, allowed: list[str]) -> None:
    """Either lets a host through."""
    assert fetch(server.url("/rows.jsonl", "localhost"), allowed) == ROWS


def test_a_name_is_resolved_once(server: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that is connected to is the one that was checked: a name server that gives another one later gains nothing."""
    answers = iter(["127.0.0.1", "169.254.169.254"])

    def rebinding(host: str, port: int, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert fetch(server.url("/rows.jsonl", "rebinding.example.com")) == ROWS
    assert next(answers) == "169.254.169.254"


def test_one_private_address_among_public_ones_is_enough(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the connection's second choice would be the private one."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    failure = fetch.failure("http://data.example.com/rows.jsonl", allowed=[])
    assert "data.example.com has the address 10.0.0.1, which is a private or reserved address" in failure.error.message


def test_proxies_of_the_environment_are_not_used(server: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy the address cannot be checked."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(server.url("/rows.jsonl")) == ROWS


# ---- credentials


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({"HTTP_BEARER_TOKEN": "abc\n"}, "Bearer abc"),
        ({"HTTP_USERNAME": "user", "HTTP_PASSWORD": "secret"}, "Basic " + base64.b64encode(b"user:secret").decode()),
        ({}, None),
    ],
)
def test_credentials_come_from_the_secret(
    server: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], header: str | None
) -> None:
    """Each form; over http only to a host that the administrator lists."""
    for name, value in keys.items():
        monkeypatch.setenv(f"DATA_{name}", value)
    assert fetch(server.url("/rows.jsonl"), prefix="DATA_") == ROWS
    assert server.asked[0][1].get("authorization") == header


def test_credentials_are_not_sent_in_the_clear(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a public host they go over https only."""
    monkeypatch.setenv("DATA_HTTP_BEARER_TOKEN", "abc")
    failure = fetch.failure("http://example.com/rows.jsonl", prefix="DATA_")
    assert "credentials are sent over https only" in failure.error.message


def test_credentials_stay_with_their_server(server: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect to another host, or another port, goes without them; one within the server keeps them."""
    monkeypatch.setenv("DATA_HTTP_BEARER_TOKEN", "abc")
    with serving() as other:
        other.paths["/rows.jsonl"] = Answer(body=ROWS)
        server.redirect("/a", "/b")
        server.redirect("/b", other.url("/rows.jsonl"))
        assert fetch(server.url("/a"), prefix="DATA_") == ROWS
        assert [headers.get("authorization") for _, headers in server.asked] == ["Bearer abc", "Bearer abc"]
        assert "authorization" not in other.asked[0][1]


def test_a_token_that_is_none(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line break in it would begin another header; it is not shown."""
    monkeypatch.setenv("DATA_HTTP_BEARER_TOKEN", "abc\r\nX-Other: def")
    failure = fetch.failure("https://example.com/rows.jsonl", prefix="DATA_")
    assert "HTTP_BEARER_TOKEN in the Secret is not a token" in failure.error.message
    assert "abc" not in failure.error.message


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials(server: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """The Secret is what has to be looked at, and its content is not shown."""
    monkeypatch.setenv("DATA_HTTP_BEARER_TOKEN", "abc-secret")
    server.paths["/rows.jsonl"] = Answer(status)
    failure = fetch.failure(server.url("/rows.jsonl"), prefix="DATA_")
    assert failure.error.code == "AccessDenied"
    assert "check the Secret that credentials.secretRef names" in failure.error.message
    assert "abc-secret" not in failure.error.message


def test_a_user_name_in_the_address_is_refused(server: WebServer, fetch: Fetch) -> None:
    """The address is shown in places where a password must not be."""
    url = server.url("/rows.jsonl").replace("http://", "http://user:pw@")
    assert "put them in a Secret" in fetch.failure(url).error.message
    assert server.asked == []


def test_a_signature_is_sent_and_not_shown(server: WebServer, fetch: Fetch) -> None:
    """The query goes out exactly as it is written."""
    server.paths["/x%2Fy?sig=a%2Bb%3D&n=1"] = Answer(404)
    failure = fetch.failure(server.url("/x%2Fy?sig=a%2Bb%3D&n=1#part"))
    assert server.asked[0][0] == "/x%2Fy?sig=a%2Bb%3D&n=1"
    assert "sig=" not in failure.error.message

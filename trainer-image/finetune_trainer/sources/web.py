"""A file of a web server, over https or http.

Every hop of a redirect is checked as the first address is, no credentials go to another server than the one the spec names, and
proxies of the environment are not used: a proxy would hide which address is contacted. Answers are never quoted.
"""

import asyncio
import zlib
from collections.abc import Callable
from pathlib import Path

import aiohttp
from yarl import URL

from finetune_api.run_config import RunNetwork, RunSource
from finetune_trainer.sources.guard import Guard, GuardedResolver
from finetune_trainer.sources.gunzip import Gunzip
from finetune_trainer.sources.keys import Keys
from finetune_trainer.sources.partial import Partial
from finetune_trainer.sources.subject import Subject

CONNECT_SECONDS = 10
READ_SECONDS = 30
ATTEMPTS = 4
RETRY_SECONDS = 1.0
"""Before the second attempt; twice as long before each further one."""
LONGEST_WAIT = 30
"""Seconds: as much of a server's Retry-After is heeded."""
MAX_REDIRECTS = 5
BLOCK = 1 << 20
NO_URL = (ValueError, LookupError, TypeError)
"""What yarl raises for a text that is no URL."""

_REDIRECTS = (301, 302, 303, 307, 308)
_TRY_AGAIN = (408, 425, 429)
_PAGES = ("text/html", "application/xhtml+xml")
_NEED = "name a Secret with HTTP_BEARER_TOKEN, or with HTTP_USERNAME and HTTP_PASSWORD, in credentials.secretRef"


class Interrupted(Exception):
    """This attempt did not bring the file, and another one may."""

    def __init__(self, why: str, wait: float = 0) -> None:
        super().__init__(why)
        self.wait = wait


def fetch_web(
    source: RunSource,
    network: RunNetwork,
    subject: Subject,
    target: Path,
    check_space: Callable[[int], None],
    on_bytes: Callable[[int], None],
) -> Path:
    """Downloads the file to `target`; raises StageFailure in the user's words."""
    partial = Partial(target, check_space, on_bytes)
    asyncio.run(Download(source, Guard(network.allowed_private, subject), subject).run(partial))
    return partial.finish()


class Download:
    """One file, tried a bounded number of times."""

    def __init__(self, source: RunSource, guard: Guard, subject: Subject) -> None:
        self.url = parse(source.uri, subject)
        self.guard = guard
        self.subject = subject
        self.authorization = authorization(Keys(source.env_prefix), subject)
        if self.authorization and self.url.scheme != "https" and not guard.lists(self.url.host or ""):
            raise subject.unusable("credentials are sent over https only: write https://, or ask the administrator to list the host")

    async def run(self, partial: Partial) -> None:
        """Brings the whole file into `partial`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(self.guard), use_dns_cache=False)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return await self.attempt(session, partial)
                except Interrupted as exc:
                    failure = exc
                if attempt < ATTEMPTS:
                    await asyncio.sleep(max(RETRY_SECONDS * 2 ** (attempt - 1), min(failure.wait, LONGEST_WAIT)))
        raise self.subject.unavailable(f"{failure} ({ATTEMPTS} attempts)")

    async def attempt(self, session: aiohttp.ClientSession, partial: Partial) -> None:
        """Asks once, for the rest where the server can tell that it is the same file."""
        resume = {"Range": f"bytes={partial.size}-", "If-Range": partial.validator} if partial.size and partial.validator else {}
        try:
            async with await self.ask(session, resume) as response:
                self.judge(response)
                await self.store(response, partial)
        except (aiohttp.ClientPayloadError, zlib.error) as exc:
            raise Interrupted(f"the connection was interrupted after {partial.size:,} bytes") from exc
        except TimeoutError as exc:
            raise Interrupted(f"no answer within {READ_SECONDS} seconds") from exc
        except (aiohttp.ClientError, ValueError) as exc:
            raise self.broken(exc) from exc

    def broken(self, exc: Exception) -> Exception:
        """What an error of the connection means."""
        match exc:
            case aiohttp.ClientConnectorCertificateError():
                return self.subject.unusable(f"the server's certificate cannot be trusted: {exc.certificate_error}")
            case aiohttp.ClientSSLError():
                return self.subject.unusable(f"no TLS connection: {exc}")
            case aiohttp.ClientConnectorDNSError():
                return Interrupted(f"the name {exc.host} cannot be resolved")
            case aiohttp.ClientConnectionError():
                return Interrupted(str(exc) or "the connection was interrupted")
            case aiohttp.InvalidURL():
                return self.subject.unusable(f"the address cannot be used: {exc}")
            case _:
                return self.subject.unusable(f"the server's answer is not HTTP ({type(exc).__name__})")

    async def ask(self, session: aiohttp.ClientSession, resume: dict[str, str]) -> aiohttp.ClientResponse:
        """The answer at the end of the redirects."""
        url = self.url
        for _ in range(MAX_REDIRECTS + 1):
            self.guard.check_host(url.host or "")
            headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "finetune-operator", **resume}
            if self.authorization and url.origin() == self.url.origin():
                headers["Authorization"] = self.authorization
            response = await session.get(url, headers=headers, allow_redirects=False)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.close()
            url = self.follow(url, location)
        raise self.subject.unusable(f"more than {MAX_REDIRECTS} redirects, the last one to {printable(url.origin())}")

    def follow(self, url: URL, location: str) -> URL:
        """The next hop; its host is checked before it is asked."""
        try:
            following = url.join(URL(location, encoded=location.isascii() and " " not in location)).with_fragment(None)
            origin, _, _ = following.with_user(None).origin(), following.host, following.port
        except NO_URL as exc:
            raise self.subject.unusable(f"{printable(url.origin())} leads to an address that cannot be used") from exc
        if following.scheme not in ("http", "https") or (url.scheme == "https" and following.scheme == "http"):
            raise self.subject.unusable(f"{printable(url.origin())} leads to {printable(origin)}: redirects from https must use https")
        if "@" in following.raw_authority:
            raise self.subject.unusable(f"{printable(url.origin())} leads to an address with a user name in it, which is not followed")
        return following

    def judge(self, response: aiohttp.ClientResponse) -> None:
        """Raises for an answer that is not the file."""
        status = response.status
        answer = f"the server answered {status} {printable(response.reason)}".rstrip()
        if status in (401, 403):
            raise self.subject.denied(f"{answer}: {'check the Secret that credentials.secretRef names' if self.authorization else _NEED}")
        if status in (404, 410):
            raise self.subject.not_found(f"file not found: {answer}")
        if status in _TRY_AGAIN or status >= 500:
            after = response.headers.get("Retry-After", "")
            raise Interrupted(answer, float(after) if after.isdecimal() else 0)
        if status not in (200, 206, 416):
            raise self.subject.unusable(f"{answer}, and 200 OK is needed")
        if response.content_type in _PAGES and status == 200:
            page = f"a web page ({response.content_type}), probably an error or a log-in page"
            raise self.subject.unusable(f"the server sent {page}: give the address of the file itself")

    async def store(self, response: aiohttp.ClientResponse, partial: Partial) -> None:
        """Writes the answer's bytes behind those that have arrived, or from the beginning."""
        encoding = response.headers.get("Content-Encoding", "").strip().lower() or "identity"
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise self.subject.unusable(f"the server sent it encoded as {printable(encoding)}, although identity encoding was requested")
        unpack = None if encoding == "identity" else Gunzip()
        goes_on = response.status == 206 and not unpack and response.headers.get("Content-Range", "").startswith(f"bytes {partial.size}-")
        if not goes_on:
            partial.begin_again()
        if response.status != 200 and not goes_on:
            raise Interrupted("the server cannot resume the download")
        partial.validator = "" if unpack else validator(response)
        if response.content_length is not None and not unpack:
            partial.make_room(response.content_length)
        with open(partial.path, "ab") as file:
            async for block in response.content.iter_chunked(BLOCK):
                for piece in unpack.feed(block) if unpack else (block,):
                    partial.write(file, piece)
        if unpack and not unpack.finished:
            raise Interrupted(f"the connection was interrupted after {partial.size:,} bytes")


def printable(text: object) -> str:
    """A server's own words in a message: short, and printable ASCII only."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in str(text or "")[:100])


def parse(uri: str, subject: Subject) -> URL:
    """The address without its fragment; what is signed in it stays as it is written."""
    try:
        url = URL(uri, encoded=True).with_fragment(None)
        host, _, _ = url.host, url.port, url.authority
    except NO_URL as exc:
        raise subject.unusable(f"this is not the address of a web server: {exc}") from exc
    if not host:
        raise subject.unusable("this is not the address of a web server: it has no host")
    if "@" in url.raw_authority:
        raise subject.unusable("the address must not contain a user name or password: put them in a Secret and set credentials.secretRef")
    return url


def authorization(keys: Keys, subject: Subject) -> str:
    """The header's value, or nothing."""
    if bearer := keys.get("HTTP_BEARER_TOKEN"):
        if not bearer.isascii() or not bearer.isprintable():
            raise subject.denied("HTTP_BEARER_TOKEN in the Secret is not a token: it must be one line of ASCII characters")
        return f"Bearer {bearer}"
    user = keys.get("HTTP_USERNAME")
    return aiohttp.encode_basic_auth(user, keys.get("HTTP_PASSWORD") or "", "utf-8") if user else ""


def validator(response: aiohttp.ClientResponse) -> str:
    """What If-Range takes: a strong ETag, or else the time of the last change; only of a server that can send a part."""
    if response.headers.get("Accept-Ranges", "").lower() != "bytes" and response.status != 206:
        return ""
    etag = response.headers.get("ETag")
    if etag is not None:
        return etag if etag.startswith('"') else ""
    return response.headers.get("Last-Modified", "")

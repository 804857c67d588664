"""A small Hugging Face Hub on loopback: the endpoints that huggingface_hub asks for repositories, their trees and their files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """Its commits, and who may see it."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Commit -> path -> content."""
    branches: dict[str, str] = field(default_factory=dict)
    token: str = ""
    """Without it, the repository is not there."""
    gated: bool = False
    """Its files are denied."""

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Adds a commit with these files changed."""
        before = self.commits.get(self.branches.get(branch, ""), {})
        sha = hashlib.sha1(f"{len(self.commits)}".encode()).hexdigest()
        self.commits[sha] = {**before, **files}
        self.branches[branch] = sha
        return sha


@dataclass
class HubServer:
    """Its repositories by "datasets/owner/name", and what it was asked."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    failing: int = 0
    """A status for every answer; 0 for right ones."""
    moves_during_download: bool = False
    """Somebody pushes another version whenever a file is asked for."""
    recursive: bool = False
    """Whether the tree that is being asked for is the whole one."""
    asked: list[str] = field(default_factory=list)

    def repository(self, name: str) -> Repository:
        """The repository, made when it is not there."""
        return self.repositories.setdefault(name, Repository())

    def answer(self, path: str, token: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        if self.failing:
            return self.failing, {}, b""
        if path.startswith("/api/"):
            kind, owner, name, *more = path.removeprefix("/api/").split("/")
            return self.api(f"{kind}/{owner}/{name}", more[:1], more[1:], token)
        before, _, after = path.strip("/").partition("/resolve/")
        revision, _, file = after.partition("/")
        return self.file(before if before.startswith("datasets/") else f"models/{before}", unquote(revision), unquote(file), token)

    def api(self, name: str, what: list[str], rest: list[str], token: str) -> tuple[int, dict[str, str], bytes]:
        """What is in a repository."""
        repository = self.repositories.get(name)
        if token == "wrong":
            return 401, {"X-Error-Message": "Invalid credentials in Authorization header"}, b""
        if repository is None or (repository.token and token != repository.token):
            return 404 if token else 401, {"X-Error-Code": "RepoNotFound"}, b""
        revision = unquote(rest[0]) if rest and rest[0] else "main"
        sha = repository.branches.get(revision, revision)
        if sha not in repository.commits:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        files = repository.commits[sha]
        if what == ["tree"]:
            return self.tree(files, "/".join(filter(None, map(unquote, rest[1:]))))
        siblings = [{"rfilename": path} for path in files]
        return 200, {}, json.dumps({"id": name.partition("/")[2], "sha": sha, "siblings": siblings}).encode()

    def tree(self, files: dict[str, bytes], folder: str) -> tuple[int, dict[str, str], bytes]:
        """Names directly in a folder; everything below for the root, as a recursive listing has it."""
        prefix = f"{folder}/" if folder else ""
        below = {path: content for path, content in files.items() if path.startswith(prefix)}
        if not below and folder:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        entries: dict[str, dict[str, Any]] = {}
        for path, content in below.items():
            name, separator, _ = path.removeprefix(prefix).partition("/")
            if separator and not self.recursive:
                entries[prefix + name] = {"type": "directory", "path": prefix + name, "oid": "0" * 40, "size": 0}
            else:
                oid = hashlib.sha1(content).hexdigest()
                entries[path] = {"type": "file", "path": path, "oid": oid, "size": len(content)}
        return 200, {}, json.dumps(list(entries.values())).encode()

    def file(self, name: str, revision: str, path: str, token: str) -> tuple[int, dict[str, str], bytes]:
        """A file's bytes."""
        repository = self.repositories[name]
        if repository.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        sha = repository.branches.get(revision, revision)
        content = repository.commits[sha].get(path)
        if self.moves_during_download:
            repository.commit(dict.fromkeys(repository.commits[sha], b"another version"))
        return (404, {"X-Error-Code": "EntryNotFound"}, b"") if content is None else (200, {"ETag": f'"{sha}"'}, content)


@contextmanager
def serving() -> Iterator[HubServer]:
    """A Hub on a free port, for as long as it is needed."""
    hub = HubServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """An answer, or the range of it that is asked for."""
            parts = urlsplit(self.path)
            hub.asked.append(self.path)
            hub.recursive = "recursive=true" in parts.query.lower()
            status, headers, body = hub.answer(parts.path, self.headers.get("Authorization", "").removeprefix("Bearer "))
            if status == 200 and (wanted := self.headers.get("Range")):
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                part = body[int(first) : int(last) + 1 if last else None]
                headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"
                status, body = 206, part
            self.send_response(status)
            for header, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            """Nobody needs it."""
            self.send_error(405)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        hub.endpoint = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield hub
        listening.shutdown()

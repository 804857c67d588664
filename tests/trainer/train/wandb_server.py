"""A server for the Weights & Biases client: keeps the runs that it is sent, and answers as the API does for what a run asks."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class StoredRun:
    """A run as the server has it."""

    name: str
    project: str
    display_name: str = ""
    described: str = "{}"
    """The config as it was sent."""
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_codes: list[int] = field(default_factory=list)
    """Of each attempt that has ended."""
    preemptions: int = 0

    @property
    def config(self) -> dict[str, Any]:
        """Value of each name."""
        return {name: item["value"] for name, item in json.loads(self.described).items()}

    def bucket(self) -> dict[str, Any]:
        """As GraphQL has it."""
        return {
            "id": self.name, "name": self.name, "displayName": self.display_name, "config": self.described,
            "summaryMetrics": json.dumps(self.summary), "historyLineCount": len(self.history), "eventsLineCount": 0, "logLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in self.history[-1:]]), "eventsTail": "[]", "tags": [], "notes": "",
            "wandbConfig": json.dumps({"t": 1}), "sweepName": None,
            "project": {"id": "project", "name": self.project, "entity": {"id": "entity", "name": "team"}},
        }  # fmt: skip


class WandbServer(ThreadingHTTPServer):
    """The runs by their ids, and the keys that were shown."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs: dict[str, StoredRun] = {}
        self.keys: set[str] = set()

    @property
    def address(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self.server_port}"

    def graphql(self, operation: str, values: dict[str, Any]) -> dict[str, Any]:
        """The data of an answer."""
        match operation:
            case "RunResumeStatus":
                run = self.runs.get(values["name"])
                entity = {"id": "entity", "name": "team"}
                return {"model": {"id": "p", "name": values["project"], "entity": entity, "bucket": run and run.bucket()}}
            case "UpsertBucket":
                inserted = values["name"] not in self.runs
                run = self.runs.setdefault(values["name"], StoredRun(values["name"], values["project"]))
                run.display_name = values["displayName"] or run.display_name
                run.described = values["config"] or run.described
                return {"upsertBucket": {"bucket": run.bucket(), "inserted": inserted}}
            case "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{self.address}/upload"} for name in values["files"]]
                return {"createRunFiles": {"runID": values["run"], "uploadHeaders": [], "files": files}}
            case _:
                return {}

    def stream(self, run: StoredRun, sent: dict[str, Any]) -> None:
        """A message of a run's file stream: rows of its history, the summary, the end."""
        files = sent.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            run.history[history["offset"] :] = map(json.loads, history["content"])
        if summary := files.get("wandb-summary.json"):
            run.summary = json.loads(summary["content"][-1])
        run.preemptions += bool(sent.get("preempting"))
        if sent.get("complete"):
            run.exit_codes.append(sent["exitcode"])


class Handler(BaseHTTPRequestHandler):
    """Of one connection."""

    protocol_version = "HTTP/1.1"
    server: WandbServer

    def do_POST(self) -> None:
        """GraphQL, or a run's file stream."""
        body = self.body()
        self.server.keys.add(self.headers.get("authorization", ""))
        if self.path == "/graphql":
            self.answer({"data": self.server.graphql(body.get("operationName", ""), body.get("variables") or {})})
        else:
            self.server.stream(self.server.runs[self.path.split("/")[-2]], body)
            self.answer({})

    def do_PUT(self) -> None:
        """An upload."""
        self.rfile.read(int(self.headers["content-length"]))
        self.answer({})

    def body(self) -> dict[str, Any]:
        """The JSON that was sent."""
        data = self.rfile.read(int(self.headers["content-length"]))
        found: dict[str, Any] = json.loads(gzip.decompress(data) if self.headers.get("content-encoding") == "gzip" else data)
        return found

    def answer(self, content: dict[str, Any]) -> None:
        """With status 200."""
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """One that runs."""
    with WandbServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()

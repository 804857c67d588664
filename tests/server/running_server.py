"""A real server process on a free port of the loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.error import HTTPError

import httpx
from openai import OpenAI

ROOT = Path(__file__).parents[2]
NAME = "support-bot"


@dataclass
class RunningServer:
    """Started on entry, ended on exit."""

    process: subprocess.Popen[bytes]
    port: int
    log_file: Path

    @classmethod
    def start(cls, model: Path, log_file: Path, *arguments: str, packages: Path | None = None, **environment: str) -> Self:
        """`python -m finetune_server` with the given program arguments besides the necessary ones; `packages` is on its import path."""
        port = free_port()
        command = [sys.executable, "-m", "finetune_server", "--model-dir", str(model), "--served-name", NAME]
        command += ["--host", "127.0.0.1", "--port", str(port), "--drain-quiet", "0", *arguments]
        folders = [ROOT / "api", ROOT / "text", ROOT / "inference-image", *([packages] if packages else [])]
        paths = os.pathsep.join(map(str, folders))
        with log_file.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": paths} | environment)
        return cls(process, port, log_file)

    def __enter__(self) -> Self:
        self.wait_for(200, "/readyz")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, api_key: str = "unused") -> OpenAI:
        """OpenAI's own client, which tries nothing twice."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0, timeout=60)

    def post(self, path: str, **body: object) -> httpx.Response:
        """The answer to a JSON body; the model's name is put in."""
        return httpx.post(self.url + path, json={"model": NAME} | body, timeout=60)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; (0, "") while nothing listens."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        _, text = self.get("/metrics")
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def wait_for(self, status: int, path: str, timeout: float = 60) -> None:
        """Until a path answers with a status."""
        end = time.monotonic() + timeout
        while self.get(path)[0] != status:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log()}"
            assert time.monotonic() < end, f"{path} does not answer {status}: {self.get(path)}; {self.log()}"
            time.sleep(0.05)

    def wait_for_metric(self, name: str, value: float, timeout: float = 30) -> None:
        """Until a metric has a value."""
        end = time.monotonic() + timeout
        while (found := self.metric(name)) != value:
            assert time.monotonic() < end, f"{name} is {found}, not {value}"
            time.sleep(0.02)

    def wait_for_log(self, text: str, timeout: float = 10) -> None:
        """Until the log holds a text."""
        end = time.monotonic() + timeout
        while text not in self.log():
            assert time.monotonic() < end, f"{text!r} is not in the log: {self.log()}"
            time.sleep(0.02)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def log(self) -> str:
        """What it wrote so far."""
        return self.log_file.read_text()

    def log_lines(self) -> list[dict[str, object]]:
        """The log, a dict a line."""
        return [json.loads(line) for line in self.log().splitlines()]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

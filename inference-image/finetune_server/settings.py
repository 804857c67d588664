"""Program arguments, and the API key from the environment."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune_api.engines import ONNX
from finetune_server.processors import usable_processors

API_KEY_VARIABLE = "FINETUNE_API_KEY"
API_KEY_SECRET_VARIABLE = "FINETUNE_API_KEY_SECRET"
"""Name of the Secret that has the key. If it is set, a key is required."""
BYTES_PER_TOKEN = 64
"""Of JSON, generously: a larger prompt than that for each token of the context has more tokens than the model can read."""
MIN_BODY = 1024 * 1024
MIN_CLASSIFIER_BODY = 8 * MIN_BODY
"""A classifier's request has up to 2048 inputs."""
DEFAULT_CONTEXT_LIMIT = 4096
"""Tokens, if --max-context is not set and the model supports more."""


class UnusableKey(Exception):
    """An API key is required, but it is empty or invalid. The message has the next step."""


@dataclass(frozen=True)
class Settings:
    """Times in seconds, lengths in tokens."""

    model_dir: Path
    served_name: str
    engine: str
    precision: str
    host: str
    port: int
    max_concurrency: int
    max_queue: int
    max_context: int | None
    threads: int
    max_body: int | None
    """Bytes of a request's body; None: derived from the model's context."""
    client_timeout: float
    """How long a client may take to send a request or to read a part of the response."""
    grace: float
    """How long requests in progress may take on shutdown."""
    drain_quiet: float
    """After SIGTERM, requests are accepted until none has arrived for this long: then all clients know that this server stops."""
    drain_limit: float
    """Maximum time for which requests are accepted after SIGTERM."""
    api_key: str | None


def parse_settings(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line. Exits with a usage message if an argument is invalid. Raises UnusableKey."""
    parser = argparse.ArgumentParser("finetune_server", description="Serves a fine-tuned model behind an OpenAI-compatible API.")
    parser.add_argument("--model-dir", type=Path, required=True, help="model directory, with MANIFEST.json")
    parser.add_argument("--served-name", required=True, help="the model's name in the API")
    parser.add_argument("--engine", default=ONNX.name, help="inference engine (default: onnx)")
    parser.add_argument("--precision", default="fp32", help="precision of the artifact to serve (default: fp32)")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--max-concurrency", type=at_least(1), default=8, help="maximum number of concurrent requests (default: 8)")
    parser.add_argument("--max-queue", type=at_least(0), default=64, help="maximum number of queued requests; others get 429 (default: 64)")
    parser.add_argument(
        "--max-context",
        type=at_least(16),
        help=f"maximum number of tokens of prompt and response together (default: the model's own limit, at most {DEFAULT_CONTEXT_LIMIT})",
    )
    parser.add_argument(
        "--max-body",
        type=at_least(1024),
        help=f"maximum size of a request body in bytes (default: {BYTES_PER_TOKEN} per token of the context, at least {MIN_BODY}, "
        f"or {MIN_CLASSIFIER_BODY} for classifiers)",
    )
    parser.add_argument(
        "--client-timeout",
        type=float,
        default=30.0,
        help="seconds a client may take to send a request or to read a part of the response (default: 30)",
    )
    parser.add_argument("--threads", type=at_least(1), default=None, help="number of compute threads (default: the available processors)")
    parser.add_argument("--grace", type=float, default=60.0, help="seconds to finish responses in progress on shutdown (default: 60)")
    parser.add_argument(
        "--drain-quiet", type=float, default=3.0, help="seconds without requests after SIGTERM before it stops (default: 3)"
    )
    parser.add_argument("--drain-limit", type=float, default=15.0, help="seconds to accept requests after SIGTERM (default: 15)")
    found = vars(parser.parse_args(arguments))
    found["threads"] = found["threads"] or usable_processors()
    return Settings(**found, api_key=read_api_key(environment))


def read_api_key(environment: Mapping[str, str]) -> str | None:
    """The key without surrounding white space; None if requests need none. Raises UnusableKey."""
    secret, given = environment.get(API_KEY_SECRET_VARIABLE), environment.get(API_KEY_VARIABLE)
    if given is None and secret is None:
        return None
    key = (given or "").strip()
    source = f"the key api-key of Secret {secret} (auth.secretRef of the ModelDeployment)" if secret else f"the variable {API_KEY_VARIABLE}"
    if not key:
        advice = f"write the API key into it{' and delete the pods' if secret else ''}, or remove it to serve without a key"
        raise UnusableKey(f"{source} is empty: {advice}")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UnusableKey(
            f"{source} holds characters that an Authorization header cannot have: use visible ASCII characters without spaces"
        )
    return key


def at_least(minimum: int) -> Callable[[str], int]:
    """An argparse type: an integer with a lower bound."""

    def integer(text: str) -> int:
        if int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text} is less than {minimum}")
        return int(text)

    return integer

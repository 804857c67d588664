"""Reads the settings from the environment variables that the chart's Deployment sets. Knows no cluster and no file."""

import ipaddress
import json
import os
import re
import socket
from collections.abc import Mapping
from uuid import uuid4

from finetune_api.engines import ENGINES
from finetune_operator.settings import OVERRIDES, Settings

HOST_NAME = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)*[a-z]([-a-z0-9]*[a-z0-9])?", re.IGNORECASE)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(Exception):
    """An environment variable is missing or invalid; the message names it."""


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings; raises SettingsError for a missing or invalid variable."""
    pod = environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"
    return Settings(
        trainer_image=_required(environ, "FINETUNE_TRAINER_IMAGE", "the image of the stage pods"),
        server_images=_server_images(environ, "FINETUNE_SERVER_IMAGES"),
        image_pull_policy=_choice(environ, "FINETUNE_IMAGE_PULL_POLICY", ("IfNotPresent", "Always", "Never")),
        image_pull_secrets=_names(environ, "FINETUNE_IMAGE_PULL_SECRETS"),
        workspace_size=environ.get("FINETUNE_WORKSPACE_SIZE") or "20Gi",
        allowed_private=_networks(environ, "FINETUNE_ALLOWED_PRIVATE"),
        instance_credentials=_choice(environ, "FINETUNE_INSTANCE_CREDENTIALS", ("false", "true")) == "true",
        prices=_prices(environ, "FINETUNE_PRICES"),
        currency=environ.get("FINETUNE_CURRENCY", "").strip(),
        allow_custom_code=_choice(environ, "FINETUNE_ALLOW_CUSTOM_CODE", ("false", "true")) == "true",
        overrides=_overrides(environ, "FINETUNE_OVERRIDES"),
        namespaces=_names(environ, "FINETUNE_WATCH_NAMESPACES"),
        lease_name=environ.get("FINETUNE_LEASE_NAME") or "finetune-operator",
        lease_namespace=_required(environ, "FINETUNE_LEASE_NAMESPACE", "the namespace of the operator's Lease"),
        pod=pod,
        identity=f"{pod}_{uuid4().hex[:8]}",
        log_level=_choice({k: v.upper() for k, v in environ.items()}, "FINETUNE_LOG_LEVEL", LOG_LEVELS, "INFO"),
        http_port=_number(environ, "FINETUNE_HTTP_PORT", 8080, 65535),
        workers=_number(environ, "FINETUNE_WORKERS", 8, 256),
    )


def _required(environ: Mapping[str, str], name: str, meaning: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise SettingsError(f"environment variable {name} is not set: it is {meaning}")
    return value


def _names(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for item in environ.get(name, "").split(",") if (part := item.strip())))


def _networks(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Networks and host names; a mistyped network must not be taken for a host name."""
    found = _names(environ, name)
    for entry in found:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError as exc:
            if not HOST_NAME.fullmatch(entry):
                raise SettingsError(
                    f"environment variable {name} holds {entry!r}: expected a network as 10.0.0.0/8 or a host name"
                ) from exc
    return found


def _overrides(environ: Mapping[str, str], name: str) -> frozenset[str]:
    """All of them when the variable is not set; none when it is empty."""
    found = frozenset(_names(environ, name) if name in environ else OVERRIDES)
    if not found <= set(OVERRIDES):
        raise SettingsError(f"environment variable {name} is {environ[name]!r}: expected some of {', '.join(OVERRIDES)}, or nothing")
    return found


def _prices(environ: Mapping[str, str], name: str) -> dict[str, float]:
    """{"NVIDIA-H100-80GB-HBM3": 4.0, "default": 0}, as JSON; `helm --set` turns decimal numbers into strings."""
    text = environ.get(name) or "{}"
    try:
        prices = {product: float(price) for product, price in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        prices = {"": -1.0}
    if any(not 0 <= price < float("inf") for price in prices.values()):
        raise SettingsError(f"environment variable {name} is {text!r}: expected a JSON object with prices of zero or more")
    return prices


def _server_images(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """{"onnx": "finetune-server-onnx:1"}, as JSON: one for each engine."""
    text = _required(environ, name, "the server images by engine")
    try:
        images = {engine: str(image) for engine, image in json.loads(text).items() if image}
    except (ValueError, AttributeError):
        images = {}
    missing = ENGINES.keys() - images.keys()
    if missing:
        raise SettingsError(f"environment variable {name} is {text!r}: expected a JSON object with an image for engine {min(missing)}")
    return images


def _choice(environ: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str = "") -> str:
    value = environ.get(name) or default or allowed[0]
    if value not in allowed:
        raise SettingsError(f"environment variable {name} is {value!r}: expected one of {', '.join(allowed)}")
    return value


def _number(environ: Mapping[str, str], name: str, default: int, largest: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= largest:
        raise SettingsError(f"environment variable {name} is {text!r}: expected a number from 1 to {largest}")
    return int(text)

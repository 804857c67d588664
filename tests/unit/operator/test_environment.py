"""The environment becomes settings, or an error that names the variable."""

import re

import pytest

from finetune_operator.environment import SettingsError, from_environment

pytestmark = pytest.mark.unit

COMPLETE = {
    "FINETUNE_TRAINER_IMAGE": "trainer:1",
    "FINETUNE_SERVER_IMAGES": '{"onnx": "onnx:1"}',
    "FINETUNE_LEASE_NAMESPACE": "finetune-system",
    "POD_NAME": "operator-abc",
}


def test_defaults() -> None:
    """What the chart may leave out has a default; an empty value counts as left out."""
    settings = from_environment({**COMPLETE, "FINETUNE_WATCH_NAMESPACES": "", "FINETUNE_HTTP_PORT": "", "FINETUNE_LOG_LEVEL": ""})
    assert (settings.namespaces, settings.scopes, settings.http_port, settings.log_level) == ((), (None,), 8080, "INFO")
    assert (settings.trainer_image, settings.image_pull_policy, settings.workspace_size) == (
        "trainer:1",
        "IfNotPresent",
        "20Gi",
    )
    assert settings.guard_installed


@pytest.mark.parametrize(
    ("value", "allowed"),
    [(None, {"image", "env", "envFrom", "serviceAccountName"}), ("", set()), ("env,image", {"image", "env"})],
)
def test_overrides(value: str | None, allowed: set[str]) -> None:
    """All fields of `pod` may be set unless the chart lists those that may; an empty list forbids them all."""
    given = {} if value is None else {"FINETUNE_OVERRIDES": value}
    assert from_environment({**COMPLETE, **given}).overrides == allowed


@pytest.mark.parametrize(("value", "allowed"), [(None, False), ("", False), ("false", False), ("true", True)])
def test_custom_code(value: str | None, allowed: bool) -> None:
    """Jobs may bring code of their own only where the chart says so."""
    given = {} if value is None else {"FINETUNE_ALLOW_CUSTOM_CODE": value}
    assert from_environment({**COMPLETE, **given}).allow_custom_code == allowed


@pytest.mark.parametrize("name", sorted(COMPLETE.keys() - {"POD_NAME"}))
def test_what_is_missing_is_named(name: str) -> None:
    """A variable without which nothing can be built is an error that names it."""
    with pytest.raises(SettingsError, match=name):
        from_environment({key: value for key, value in COMPLETE.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FINETUNE_IMAGE_PULL_POLICY", "Sometimes"),
        ("FINETUNE_LOG_LEVEL", "LOUD"),
        ("FINETUNE_HTTP_PORT", "http"),
        ("FINETUNE_HTTP_PORT", "70000"),
        ("FINETUNE_WORKERS", "0"),
        ("FINETUNE_ALLOW_CUSTOM_CODE", "yes"),
        ("FINETUNE_OVERRIDES", "image,labels"),
        ("FINETUNE_SERVER_IMAGES", "onnx:1"),
        ("FINETUNE_SERVER_IMAGES", '{"onnx": ""}'),
        ("FINETUNE_SERVER_IMAGES", '["onnx"]'),
    ],
)
def test_what_is_wrong_is_named_with_its_value(name: str, value: str) -> None:
    """An error names the variable and what it holds."""
    with pytest.raises(SettingsError, match=re.escape(f"{name} is {value!r}")):
        from_environment({**COMPLETE, name: value})


@pytest.mark.parametrize(
    ("text", "namespaces"),
    [("a", ("a",)), ("a,b", ("a", "b")), (" a , b,,a ", ("a", "b")), (",", ())],
)
def test_namespaces(text: str, namespaces: tuple[str, ...]) -> None:
    """A list with commas; spaces, empty parts and repetitions do not matter."""
    assert from_environment({**COMPLETE, "FINETUNE_WATCH_NAMESPACES": text}).namespaces == namespaces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("10.0.0.0/8, fd00::/8", ("10.0.0.0/8", "fd00::/8")),
        ("10.1.2.3", ("10.1.2.3",)),
        ("data.example.internal,minio", ("data.example.internal", "minio")),
    ],
)
def test_private_networks(text: str, expected: tuple[str, ...]) -> None:
    """Networks, single addresses and host names that data may come from."""
    assert from_environment({**COMPLETE, "FINETUNE_ALLOWED_PRIVATE": text}).allowed_private == expected


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "10.0.0.300", "http://minio", "*.example.com", "minio:9000", "a b"])
def test_a_network_that_is_none(entry: str) -> None:
    """The entry is shown; it is not taken for a host name that nothing ever has."""
    with pytest.raises(SettingsError, match=f"FINETUNE_ALLOWED_PRIVATE holds {re.escape(repr(entry))}"):
        from_environment({**COMPLETE, "FINETUNE_ALLOWED_PRIVATE": f"10.0.0.0/8,{entry}"})


def test_each_process_has_an_identity_of_its_own() -> None:
    """A container that is started again in the same pod is another holder of the lease, and knows whose successor it is."""
    first, second = from_environment(COMPLETE), from_environment(COMPLETE)
    assert first.identity != second.identity
    assert {first.identity.rpartition("_")[0], second.identity.rpartition("_")[0], first.pod} == {"operator-abc"}


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        ("", {}),
        ("{}", {}),
        ('{"default": "4.5"}', {"default": 4.5}),
        ('{"default": 0, "NVIDIA-H100-80GB-HBM3": 4}', {"default": 0.0, "NVIDIA-H100-80GB-HBM3": 4.0}),
    ],
)
def test_prices(text: str, prices: dict[str, float]) -> None:
    """Of a GPU hour, by product."""
    assert from_environment({**COMPLETE, "FINETUNE_PRICES": text}).prices == prices


@pytest.mark.parametrize("text", ["4", "[4]", '{"default": "four"}', '{"default": null}', '{"default": NaN}', '{"default": -1}', "{"])
def test_prices_that_are_none(text: str) -> None:
    """Named with what they are."""
    with pytest.raises(SettingsError, match="FINETUNE_PRICES is"):
        from_environment({**COMPLETE, "FINETUNE_PRICES": text})

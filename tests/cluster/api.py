"""A small synchronous Kubernetes client for tests: plain dicts in and out, and refusals as exceptions."""

import base64
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

Object = dict[str, Any]

_COLLECTIONS = {
    "FineTuneJob": "apis/finetune.dev/v1alpha1/{}finetunejobs",
    "FineTunedModel": "apis/finetune.dev/v1alpha1/{}finetunedmodels",
    "ModelDeployment": "apis/finetune.dev/v1alpha1/{}modeldeployments",
    "PersistentVolumeClaim": "api/v1/{}persistentvolumeclaims",
    "Namespace": "api/v1/namespaces",
    "CustomResourceDefinition": "apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "ValidatingAdmissionPolicy": "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
}


class Refused(Exception):
    """The API server's answer when it is not 2xx."""

    def __init__(self, code: int, status: Object) -> None:
        self.code = code
        self.message: str = status.get("message", "")
        self.fields: list[str] = [cause.get("field", "") for cause in status.get("details", {}).get("causes", [])]
        super().__init__(f"{code}: {self.message}")

    @property
    def reason(self) -> str:
        """What an admission policy said, without the API server's words around it."""
        return self.message.partition("denied request: ")[2]


class Api:
    """One API server as the administrator of a kubeconfig with embedded certificates."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = client_of(kubeconfig)

    def create(self, obj: Object, *, dry_run: bool = False) -> Object:
        """As `kubectl create` does it: unknown fields are errors."""
        params = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        return self._send("POST", _path(obj["kind"], obj["metadata"].get("namespace")), json=obj, params=params)

    def get(self, kind: str, name: str, namespace: str | None = None, subresource: str = "") -> Object:
        """The object; Refused with code 404 when it is not there."""
        return self._send("GET", _path(kind, namespace, name, subresource))

    def exists(self, kind: str, name: str, namespace: str | None = None) -> bool:
        """False when it is not there, or its kind is not."""
        try:
            self.get(kind, name, namespace)
        except Refused as refused:
            if refused.code == 404:
                return False
            raise
        return True

    def patch(self, kind: str, name: str, patch: Object, namespace: str | None = None, subresource: str = "") -> Object:
        """A JSON merge patch."""
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._send("PATCH", _path(kind, namespace, name, subresource), json=patch, headers=headers)

    def delete(self, kind: str, name: str, namespace: str | None = None, **options: Any) -> Object:
        """`options` are those of meta.v1.DeleteOptions: propagationPolicy, dryRun, ..."""
        return self._send("DELETE", _path(kind, namespace, name), json=options)

    def delete_all(self, kind: str, namespace: str, **options: Any) -> Object:
        """As `kubectl delete --all` could do it in one request."""
        return self._send("DELETE", _path(kind, namespace), json=options)

    def _send(self, method: str, path: str, **arguments: Any) -> Object:
        response = self._client.request(method, path, **arguments)
        answer: Object = response.json() if "json" in response.headers.get("content-type", "") else {"message": response.text}
        if not response.is_success:
            raise Refused(response.status_code, answer)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


def client_of(kubeconfig: Path) -> httpx.Client:
    """An HTTP client with the address and the certificates of a kubeconfig."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    return httpx.Client(base_url=cluster["server"], verify=_ssl_context(cluster, user), timeout=30)


def wait_until(what: str, true: Callable[[], bool], seconds: float = 60) -> None:
    """Polls until it is so; AssertionError with `what` when it takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.1)


def _path(kind: str, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    collection = _COLLECTIONS[kind].format(f"namespaces/{namespace}/" if namespace else "")
    return "/" + "/".join(part for part in (collection, name, subresource) if part)


def _ssl_context(cluster: Object, user: Object) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return context

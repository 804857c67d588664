"""Address, TLS and credentials of the API server: from the pod's service account, or from a kubeconfig. Sends no requests."""

import os
import ssl
from dataclasses import dataclass

from kubernetes.aio import config
from kubernetes.aio.client import Configuration


@dataclass(frozen=True, slots=True)
class Connection:
    """Address and credentials of the API server."""

    configuration: Configuration
    tls: ssl.SSLContext | bool

    @property
    def server(self) -> str:
        """URL without a trailing slash."""
        return str(self.configuration.host).rstrip("/")

    @property
    def server_name(self) -> str | None:
        """Name to expect in the server's certificate, if it differs from the address."""
        return self.configuration.tls_server_name or None

    async def authorization(self) -> str | None:
        """The Authorization header. The token's file is read again every minute (kubelets renew it long before it expires)."""
        return await self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")


async def connect(kubeconfig: str | None = os.environ.get("KUBECONFIG")) -> Connection:
    """Uses the given kubeconfig, else the service account of the pod, else ~/.kube/config. Raises config.ConfigException."""
    configuration = Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not kubeconfig:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(kubeconfig, client_configuration=configuration, persist_config=False)  # type: ignore[no-untyped-call]
    return Connection(configuration, _tls(configuration))


def _tls(configuration: Configuration) -> ssl.SSLContext | bool:
    if not configuration.host.startswith("https:"):
        return False
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context

"""The kinds that the operator uses: group, version, plural, and the paths of their REST endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from finetune_api.resources import API_VERSION
from finetune_api.resources.kinds import KINDS


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind and its path."""

    api_version: str
    kind: str
    plural: str
    cluster_scoped: bool = False

    @property
    def title(self) -> str:
        """As in RBAC rules and kubectl: "jobs.batch"."""
        group, slash, _ = self.api_version.partition("/")
        return f"{self.plural}.{group}" if slash else self.plural

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Path of a collection (of one namespace, or of all for None), of an object, or of its subresource."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{quote(namespace)}" if namespace and not self.cluster_scoped else ""
        parts = [f"{root}{scope}", self.plural, quote(name), subresource]
        return "/".join(part for part in parts if part)


FINETUNE_JOBS, FINETUNED_MODELS, MODEL_DEPLOYMENTS = (Resource(API_VERSION, kind.kind, kind.plural) for kind in KINDS)
OURS = (FINETUNE_JOBS, FINETUNED_MODELS, MODEL_DEPLOYMENTS)
JOBS = Resource("batch/v1", "Job", "jobs")
PODS = Resource("v1", "Pod", "pods")
CLAIMS = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
SERVICES = Resource("v1", "Service", "services")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
CHILDREN = (JOBS, PODS, CLAIMS, DEPLOYMENTS, SERVICES, CONFIG_MAPS)
EVENTS = Resource("v1", "Event", "events")
NODES = Resource("v1", "Node", "nodes", cluster_scoped=True)
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
POLICIES = Resource("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", cluster_scoped=True)
BINDINGS = Resource(
    "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", cluster_scoped=True
)

BY_KIND: Mapping[tuple[str, str], Resource] = {(r.api_version, r.kind): r for r in (*OURS, *CHILDREN, EVENTS, LEASES)}


def resource_of(obj: Mapping[str, Any]) -> Resource:
    """The resource of an object that names its apiVersion and kind."""
    return BY_KIND[obj["apiVersion"], obj["kind"]]

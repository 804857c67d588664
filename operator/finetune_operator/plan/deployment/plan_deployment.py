"""plan_deployment: serves a model that may be served, and leaves alone what runs when it may not."""

from dataclasses import dataclass, replace
from typing import Any

from finetune_api.resources.common import ErrorStatus
from finetune_api.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus, Revision
from finetune_operator.build.server import Rollout, deployment_object, progress_deadline, scaled_object, service_object
from finetune_operator.objects.names import CLAIM_UID_LABEL, DEPLOYMENT_LABEL, REVISION_ANNOTATION
from finetune_operator.objects.records import Claim
from finetune_operator.plan.common.conditions import ConditionUpdate, find, short, stalled, with_updates
from finetune_operator.plan.common.models import no_gain
from finetune_operator.plan.common.observed import ObservedDeployment
from finetune_operator.plan.common.plan import EventNote, Plan
from finetune_operator.plan.deployment.availability import Availability, availability
from finetune_operator.plan.deployment.serving import (
    Refusal,
    Servable,
    answering,
    reach,
    revision_digest,
    servable,
    serving,
    target_revision,
)

POLL = 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the deployment stands, and the objects to apply."""

    standing: Availability
    revision: Revision | None
    apply: tuple[dict[str, Any], ...] = ()
    patch: tuple[dict[str, Any], ...] = ()


def plan_deployment(observed: ObservedDeployment, now: float) -> Plan:
    """Decides from one snapshot. The revision and what is served are written before the Deployment that follows them."""
    deployment = observed.deployment
    if deployment.meta.deleting:
        return Plan()
    verdict = _verdict(observed, deployment.spec, now) if deployment.spec else _invalid(deployment.spec_error, deployment.status)
    remark = no_gain(observed.model)
    standing = _with_remark(_beside(verdict.standing, answering(observed.pods)), remark)
    verdict = replace(verdict, standing=standing)
    status = _status(observed, verdict, now)
    return Plan(
        status=status if status != deployment.status else None,
        apply=verdict.apply if deployment.status.revision == verdict.revision else (),
        patch=verdict.patch if deployment.status.revision == verdict.revision else (),
        events=(*_events(deployment.status, status, verdict.standing), *_remarked(deployment.status, status, remark)),
        requeue_after=None if verdict.standing.ready else POLL,
    )


def _verdict(observed: ObservedDeployment, spec: ModelDeploymentSpec, now: float) -> Verdict:
    found = servable(observed, spec)
    if isinstance(found, Refusal):
        patch = () if found.param == "replicas" else _scaled(observed, spec)
        return Verdict(_refused(found), observed.deployment.status.revision, patch=patch)
    revision = target_revision(observed, spec, found.model)
    applied = _applied(observed, revision)
    objects = _objects(observed, spec, found, revision)
    return Verdict(availability(observed, spec, applied, now), revision, objects, _scaled(observed, spec) if applied else ())


def _applied(observed: ObservedDeployment, revision: Revision) -> bool:
    workload = observed.workload
    return workload is not None and workload.meta.annotations.get(REVISION_ANNOTATION) == revision_digest(revision)


def _objects(observed: ObservedDeployment, spec: ModelDeploymentSpec, found: Servable, revision: Revision) -> tuple[dict[str, Any], ...]:
    """The Deployment when it is of another revision, the Service when there is none."""
    rollout = Rollout(
        observed.deployment.meta,
        spec,
        revision,
        revision_digest(revision),
        found.spec.source.claim,
        found.claim.meta.uid,
        reach(found.claim),
        gap=_gap(observed, found.claim),
    )
    workload = () if _applied(observed, revision) else (deployment_object(rollout, observed.settings),)
    return workload if observed.service_exists else (*workload, service_object(rollout))


def _gap(observed: ObservedDeployment, claim: Claim) -> bool:
    """True when a pod that lives keeps the next one from mounting the claim: one of a claim for a single pod, or one without the label
    that the next pod follows to its node, as the first version of the operator made them."""
    mounted = [pod.meta.labels.get(CLAIM_UID_LABEL) for pod in observed.pods if not pod.ended]
    return {"many-nodes": False, "one-node": None in mounted, "one-pod": None in mounted or claim.meta.uid in mounted}[reach(claim)]


def _scaled(observed: ObservedDeployment, spec: ModelDeploymentSpec) -> tuple[dict[str, Any], ...]:
    """An apply would build the pod template anew, and after an upgrade of the operator replace every pod."""
    workload = observed.workload
    if workload is None or (workload.spec_replicas, workload.deadline) == (spec.replicas, progress_deadline(spec)):
        return ()
    return (scaled_object(workload.meta, spec),)


def _beside(standing: Availability, served: str) -> Availability:
    """What is wrong with a new revision takes nothing away from the one that serves, and the message says so."""
    if standing.error is None or not served:
        return standing
    message = f"{short(standing.message, 4000)}; meanwhile {served} keeps serving"
    return replace(standing, message=message, error=standing.error.model_copy(update={"message": message}))


def _with_remark(standing: Availability, remark: str) -> Availability:
    """A model that serves and is no better than its base is allowed, and said."""
    return replace(standing, message=f"{standing.message}; {remark}") if standing.ready and remark else standing


def _remarked(old: ModelDeploymentStatus, new: ModelDeploymentStatus, remark: str) -> tuple[EventNote, ...]:
    """Once for each roll-out of such a model."""
    return (EventNote("Warning", "NotBetterThanBase", short(remark)),) if remark and new.revision and new.revision != old.revision else ()


def _refused(refusal: Refusal) -> Availability:
    error = ErrorStatus(
        code=refusal.reason, message=short(refusal.message, 8192), param=refusal.param or None, object=refusal.object or None
    )
    return Availability(False, refusal.reason, refusal.message, refusal.stalled, error)


def _invalid(spec_error: str, status: ModelDeploymentStatus) -> Verdict:
    error = ErrorStatus(code="InvalidSpec", message=short(spec_error, 8192))
    return Verdict(Availability(False, "InvalidSpec", spec_error, stalled=True, error=error), status.revision)


def _status(observed: ObservedDeployment, verdict: Verdict, now: float) -> ModelDeploymentStatus:
    meta, old, standing, workload = observed.deployment.meta, observed.deployment.status, verdict.standing, observed.workload
    wanted = observed.deployment.spec.replicas if observed.deployment.spec else old.replicas
    return old.model_copy(
        update={
            "observed_generation": meta.generation,
            "conditions": with_updates(old.conditions, _conditions(observed, standing), meta.generation, now),
            "url": f"http://{meta.name}.{meta.namespace}.svc",
            "replicas": workload.replicas if workload else 0,
            "ready_text": f"{workload.ready if workload else 0}/{wanted}",
            "selector": f"{DEPLOYMENT_LABEL}={meta.name}",
            "serving": serving(observed, verdict.revision),
            "serving_text": short(answering(observed.pods), 256) or None,
            "revision": verdict.revision,
            "error": standing.error,
            "message": None if standing.ready else short(standing.message),
        }
    )


def _conditions(observed: ObservedDeployment, standing: Availability) -> tuple[ConditionUpdate, ...]:
    reason, message = standing.reason, standing.message
    available = observed.workload.available if observed.workload else 0
    serves = ConditionUpdate("Available", available > 0, "Serving" if available else "NotServing", f"{available} replicas answer")
    progressing = ConditionUpdate("Progressing", not (standing.ready or standing.stalled), reason, "" if standing.ready else message)
    if standing.stalled:
        return (*stalled(reason, message), serves, progressing)
    return (
        ConditionUpdate("Ready", standing.ready, reason, message),
        ConditionUpdate("Reconciling", not standing.ready, reason, "" if standing.ready else message),
        ConditionUpdate("Stalled", False, reason),
        serves,
        progressing,
    )


def _events(old: ModelDeploymentStatus, new: ModelDeploymentStatus, standing: Availability) -> tuple[EventNote, ...]:
    """When the reason for being ready or not changes."""
    before, after = find(old.conditions, "Ready"), find(new.conditions, "Ready")
    if after is None or (before and (before.status, before.reason) == (after.status, after.reason)):
        return ()
    kind = "Warning" if standing.error else "Normal"
    return (EventNote(kind, standing.reason, short(standing.message or standing.reason)),)

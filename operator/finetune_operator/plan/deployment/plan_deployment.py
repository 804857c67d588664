"""plan_deployment: rolls out a model that can be served; when it cannot, running pods are not touched."""

from dataclasses import dataclass, replace
from typing import Any

from finetune_api.resources.common import ErrorStatus
from finetune_api.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus, Revision
from finetune_operator.build.server import Rollout, deployment_object, progress_deadline, scaled_object, service_object
from finetune_operator.objects.names import CLAIM_UID_LABEL, DEPLOYMENT_LABEL, REVISION_ANNOTATION
from finetune_operator.objects.records import Claim
from finetune_operator.plan.common.clock import POLL
from finetune_operator.plan.common.conditions import ConditionUpdate, find, short, stalled, with_updates
from finetune_operator.plan.common.models import no_gain
from finetune_operator.plan.common.observed import ObservedDeployment
from finetune_operator.plan.common.plan import EventNote, Plan
from finetune_operator.plan.deployment.availability import Availability, availability
from finetune_operator.plan.deployment.serving import (
    NotServable,
    Servable,
    answering,
    reach,
    revision_digest,
    servable,
    served_checkpoint,
    serving,
    target_revision,
)


@dataclass(frozen=True, slots=True)
class Decision:
    """The state of the deployment, and the objects to apply."""

    standing: Availability
    revision: Revision | None
    apply: tuple[dict[str, Any], ...] = ()
    patch: tuple[dict[str, Any], ...] = ()


def plan_deployment(observed: ObservedDeployment, now: float) -> Plan:
    """Decides from one snapshot. The revision and the served models are written to the status before the Deployment is applied."""
    deployment = observed.deployment
    if deployment.meta.deleting:
        return Plan()
    decision = _decision(observed, deployment.spec, now) if deployment.spec else _invalid(deployment.spec_error, deployment.status)
    whole = deployment.spec is None or served_checkpoint(observed.model, deployment.spec) is None
    warning = no_gain(observed.model) if whole else ""
    standing = _with_warning(_with_serving(decision.standing, answering(observed.pods)), warning)
    decision = replace(decision, standing=standing)
    status = _status(observed, decision, now)
    return Plan(
        status=status if status != deployment.status else None,
        apply=decision.apply if deployment.status.revision == decision.revision else (),
        patch=decision.patch if deployment.status.revision == decision.revision else (),
        events=(*_events(deployment.status, status, decision.standing), *_warning_events(deployment.status, status, warning)),
        requeue_after=None if decision.standing.ready else POLL,
    )


def _decision(observed: ObservedDeployment, spec: ModelDeploymentSpec, now: float) -> Decision:
    found = servable(observed, spec)
    if isinstance(found, NotServable):
        patch = () if found.param == "replicas" else _scaled(observed, spec)
        return Decision(_refused(found), observed.deployment.status.revision, patch=patch)
    revision = target_revision(observed, spec, found.model)
    applied = _applied(observed, revision)
    objects = _objects(observed, spec, found, revision)
    return Decision(availability(observed, spec, applied, now), revision, objects, _scaled(observed, spec) if applied else ())


def _applied(observed: ObservedDeployment, revision: Revision) -> bool:
    workload = observed.workload
    return workload is not None and workload.meta.annotations.get(REVISION_ANNOTATION) == revision_digest(revision)


def _objects(observed: ObservedDeployment, spec: ModelDeploymentSpec, found: Servable, revision: Revision) -> tuple[dict[str, Any], ...]:
    """The Deployment if it has another revision, the Service if it does not exist."""
    rollout = Rollout(
        observed.deployment.meta,
        spec,
        revision,
        revision_digest(revision),
        found.source,
        found.claim.meta.uid,
        reach(found.claim),
        checkpoint=served_checkpoint(found.model, spec),
        gap=_gap(observed, found.claim),
    )
    workload = () if _applied(observed, revision) else (deployment_object(rollout, observed.settings),)
    return workload if observed.service_exists else (*workload, service_object(rollout))


def _gap(observed: ObservedDeployment, claim: Claim) -> bool:
    """True when a running pod keeps the next one from mounting the claim: with a ReadWriteOncePod claim, or when the running pod lacks the
    label that schedules the next pod to its node (pods of the first version of the operator)."""
    mounted = [pod.meta.labels.get(CLAIM_UID_LABEL) for pod in observed.pods if not pod.ended]
    return {"many-nodes": False, "one-node": None in mounted, "one-pod": None in mounted or claim.meta.uid in mounted}[reach(claim)]


def _scaled(observed: ObservedDeployment, spec: ModelDeploymentSpec) -> tuple[dict[str, Any], ...]:
    """A patch: an apply would render the pod template again, and after an upgrade of the operator replace every pod."""
    workload = observed.workload
    if workload is None or (workload.spec_replicas, workload.deadline) == (spec.replicas, progress_deadline(spec)):
        return ()
    return (scaled_object(workload.meta, spec),)


def _with_serving(standing: Availability, served: str) -> Availability:
    """When a new revision has a problem, the message adds that the old one keeps serving."""
    if standing.error is None or not served:
        return standing
    message = f"{short(standing.message, 4000)}; meanwhile {served} keeps serving"
    return replace(standing, message=message, error=standing.error.model_copy(update={"message": message}))


def _with_warning(standing: Availability, warning: str) -> Availability:
    """Adds the warning about a model that is not better than its base."""
    return replace(standing, message=f"{standing.message}; {warning}") if standing.ready and warning else standing


def _warning_events(old: ModelDeploymentStatus, new: ModelDeploymentStatus, warning: str) -> tuple[EventNote, ...]:
    """Once for each rollout of such a model."""
    return (EventNote("Warning", "NotBetterThanBase", short(warning)),) if warning and new.revision and new.revision != old.revision else ()


def _refused(refusal: NotServable) -> Availability:
    error = ErrorStatus(
        code=refusal.reason, message=short(refusal.message, 8192), param=refusal.param or None, object=refusal.object or None
    )
    return Availability(False, refusal.reason, refusal.message, refusal.stalled, error)


def _invalid(spec_error: str, status: ModelDeploymentStatus) -> Decision:
    error = ErrorStatus(code="InvalidSpec", message=short(spec_error, 8192))
    return Decision(Availability(False, "InvalidSpec", spec_error, stalled=True, error=error), status.revision)


def _status(observed: ObservedDeployment, decision: Decision, now: float) -> ModelDeploymentStatus:
    meta, old, standing, workload = observed.deployment.meta, observed.deployment.status, decision.standing, observed.workload
    wanted = observed.deployment.spec.replicas if observed.deployment.spec else old.replicas
    return old.model_copy(
        update={
            "observed_generation": meta.generation,
            "conditions": with_updates(old.conditions, _conditions(observed, standing), meta.generation, now),
            "url": f"http://{meta.name}.{meta.namespace}.svc",
            "replicas": workload.replicas if workload else 0,
            "ready_text": f"{workload.ready if workload else 0}/{wanted}",
            "selector": f"{DEPLOYMENT_LABEL}={meta.name}",
            "serving": serving(observed, decision.revision),
            "serving_text": short(answering(observed.pods), 256) or None,
            "revision": decision.revision,
            "error": standing.error,
            "message": None if standing.ready else short(standing.message),
        }
    )


def _conditions(observed: ObservedDeployment, standing: Availability) -> tuple[ConditionUpdate, ...]:
    reason, message = standing.reason, standing.message
    available = observed.workload.available if observed.workload else 0
    serves = ConditionUpdate(
        "Available",
        available > 0,
        "Serving" if available else "NotServing",
        f"{available} {'replica is' if available == 1 else 'replicas are'} available",
    )
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
    """When the status or the reason of Ready changes."""
    before, after = find(old.conditions, "Ready"), find(new.conditions, "Ready")
    if after is None or (before and (before.status, before.reason) == (after.status, after.reason)):
        return ()
    kind = "Warning" if standing.error else "Normal"
    return (EventNote(kind, standing.reason, short(standing.message or standing.reason)),)

"""A cluster in a few dicts: it stores what plans create, and simulates the Job controller, the kubelet and the users.

It does not know how plans decide. It fails on what must never happen: a Job created twice, two attempts at the same time.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from finetune_api.exit_codes import ExitCode
from finetune_api.progress import Progress
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_api.resources.finetuned_model import FineTunedModelSpec, FineTunedModelStatus
from finetune_api.result import Stage
from finetune_operator.objects.records import BatchJob, Claim, FineTunedModel, FineTuneJob, Meta, Pod, WarningEvent
from finetune_operator.plan.common.observed import ObservedJob, ObservedModel
from finetune_operator.plan.common.plan import EventNote, ObjectRef, Plan
from finetune_operator.plan.job.plan_job import plan_job
from finetune_operator.plan.model.plan_model import plan_model
from tests.unit.operator.samples import SETTINGS, T, job, result

ROUNDS = 12


class Killed(Exception):
    """The operator was killed in the middle of carrying out a plan."""


@dataclass
class World:
    """One FineTuneJob and its children."""

    job: FineTuneJob = field(default_factory=job)
    now: float = T
    jobs: dict[str, BatchJob] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    applied: set[str] = field(default_factory=set)
    model: FineTunedModel | None = None
    foreign: FineTunedModel | None = None
    """A model that somebody else has made."""
    rivals: tuple[FineTuneJob, ...] = ()
    refusal: WarningEvent | None = None
    service: Meta | None = None
    progress: Progress | None = None
    """What rank 0 says."""
    created: list[str] = field(default_factory=list)
    writes: int = 0
    """Of the job's status."""
    events: list[EventNote] = field(default_factory=list)
    uids: int = 0
    kill_after: int | None = None
    """Operations of a plan after which the operator is killed."""
    prepared: str = ""
    """uid of the workspace that prepare has filled."""
    damaged: bool = False
    """What prepare has left there is not as it left it."""

    def reconcile(self) -> None:
        """Both kinds until nothing more is to be done; a kill is followed by a new operator later on."""
        try:
            self._settle_job()
            self._settle_model()
            self._settle_job()
        except Killed:
            self.kill_after = None

    def _settle_job(self) -> None:
        for _ in range(ROUNDS):
            plan = plan_job(self.observed(), self.now)
            if not plan.acts:
                return
            self._carry_out(plan, self._put_job_status)
        raise AssertionError(f"the plan still acts after {ROUNDS} rounds: {plan}")

    def _settle_model(self) -> None:
        for _ in range(ROUNDS):
            if self.model is None:
                return
            plan = plan_model(self.observed_model(self.model), self.now)
            if not plan.acts:
                return
            self._carry_out(plan, self._put_model_status)
        raise AssertionError(f"the plan still acts after {ROUNDS} rounds: {plan}")

    def observed(self) -> ObservedJob:
        """What the operator sees of the job."""
        pods = tuple(pod for pod in self.pods.values() if "-inspect-" not in pod.meta.name)
        jobs = {name: batch for name, batch in self.jobs.items() if "-inspect-" not in name}
        name = self.job.status.model or self.job.meta.name
        model = next((found for found in (self.model, self.foreign) if found and found.meta.name == name), None)
        more: dict[str, Any] = {"output_model": model, "rivals": self.rivals, "refusal": self.refusal, "service": self.service}
        more["progress"] = self.progress
        return ObservedJob(self.job, SETTINGS, jobs, pods, frozenset(self.applied), dict(self.claims), **more)

    def observed_model(self, model: FineTunedModel) -> ObservedModel:
        """What the operator sees of the model."""
        jobs = {name: batch for name, batch in self.jobs.items() if "-inspect-" in name}
        absent = model.spec is not None and model.spec.source.claim.name not in self.claims
        return ObservedModel(model, SETTINGS, jobs, tuple(self.pods.values()), claim_absent=absent)

    # ---- what the API server does

    def _carry_out(self, plan: Plan, put_status: Any) -> None:
        self.events += plan.events
        operations: list[tuple[Any, Any]] = [(put_status, plan.status)] if plan.status is not None else []
        operations += [(self._apply, obj) for obj in plan.apply]
        operations += [(self._create, obj) for obj in plan.create]
        operations += [(self.delete, ref) for ref in plan.delete]
        for number, (operation, argument) in enumerate(operations):
            if self.kill_after == number:
                raise Killed
            operation(argument)

    def _put_job_status(self, status: FineTuneJobStatus) -> None:
        """Through JSON, whose limits are those of the CRD's schema."""
        self.writes += 1
        self.job = replace(self.job, status=FineTuneJobStatus.from_json(status.to_json()))

    def _put_model_status(self, status: FineTunedModelStatus) -> None:
        assert self.model is not None
        self.model = replace(self.model, status=FineTunedModelStatus.from_json(status.to_json()))

    def _apply(self, obj: dict[str, Any]) -> None:
        name = obj["metadata"]["name"]
        if obj["kind"] == "PersistentVolumeClaim":
            old = self.claims.get(name)
            made = self._meta(obj)
            self.claims[name] = Claim(replace(made, uid=old.meta.uid) if old else made, "Bound", ("ReadWriteOnce",))
        else:
            self.applied.add(f"{obj['kind']}/{name}")
            self.service = self._meta(obj) if obj["kind"] == "Service" else self.service

    def _create(self, obj: dict[str, Any]) -> None:
        name = obj["metadata"]["name"]
        if obj["kind"] in ("ConfigMap", "Service", "PersistentVolumeClaim"):
            if name not in self.claims:  # AlreadyExists: adopted
                self._apply(obj)
            return
        if obj["kind"] == "FineTunedModel":
            assert not (self.foreign and self.foreign.meta.name == name), f"{name} exists, and is somebody else's"
            self.model = self.model or FineTunedModel(
                self._meta(obj), FineTunedModelSpec.model_validate(obj["spec"]), FineTunedModelStatus()
            )
            return
        if name in self.jobs:
            return  # AlreadyExists: adopted
        if "-inspect-" not in name:
            seen = [
                a for a in self.job.status.attempts if f"{self.job.meta.name}-{a.stage}-{a.number}" == name and (a.job_uid or a.finished_at)
            ]
            assert not seen, f"{name} was created before"
            alive = [pod.meta.name for pod in self.observed().pods if pod.phase in ("Pending", "Running")]
            assert not alive, f"{name} is created while {alive} live"
            others = [other.meta.name for other in self.jobs.values() if not other.terminated and "-inspect-" not in other.meta.name]
            assert not others, f"{name} is created while {others} run"
        self.created.append(name)
        self.jobs[name] = BatchJob(self._meta(obj), started=self.now)
        for index in range(obj["spec"]["completions"]):
            self._create_pod(name, index)

    def _create_pod(self, name: str, index: int) -> None:
        labels = {"batch.kubernetes.io/job-name": name}
        made = Meta("team", f"{name}-{index}-x", self._uid(), 1, created=self.now, labels=labels)
        self.pods[made.name] = Pod(made)

    def _meta(self, obj: dict[str, Any]) -> Meta:
        metadata = obj["metadata"]
        owners = frozenset(owner["uid"] for owner in metadata.get("ownerReferences", ()))
        annotations = metadata.get("annotations", {})
        return Meta(
            metadata["namespace"],
            metadata["name"],
            self._uid(),
            1,
            generation=1,
            created=self.now,
            owners=owners,
            annotations=annotations,
            labels=metadata.get("labels", {}),
        )

    def _uid(self) -> str:
        self.uids += 1
        return f"uid-{self.uids}"

    def delete(self, ref: ObjectRef) -> None:
        """In the background: the Job immediately, its pods after their grace period, a claim when no pod mounts it."""
        if ref.kind == "Service":
            self.service = None
        if ref.kind == "PersistentVolumeClaim" and self.claims[ref.name].meta.uid == ref.uid:
            del self.claims[ref.name]
        batch = self.jobs.get(ref.name)
        if batch is None or batch.meta.uid != ref.uid:
            return
        del self.jobs[ref.name]
        for pod in self._pods_of(ref.name):
            if pod.phase in ("Pending", "Running"):
                self.pods[pod.meta.name] = replace(pod, gone_by=self.now + 120, meta=replace(pod.meta, deleting=True))
            else:
                del self.pods[pod.meta.name]

    # ---- what the kubelet and the Job controller do

    def _pods_of(self, job_name: str) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.meta.labels["batch.kubernetes.io/job-name"] == job_name]

    def tick(self, seconds: float = 30.0) -> None:
        """Time passes: pods that are to go are gone, Jobs see how their pods ended."""
        self.now += seconds
        for pod in list(self.pods.values()):
            if pod.gone_by is not None and self.now >= pod.gone_by:
                del self.pods[pod.meta.name]
        for name, batch in list(self.jobs.items()):
            self._settle_batch(name, batch)

    def _settle_batch(self, name: str, batch: BatchJob) -> None:
        pods = self._pods_of(name)
        if batch.terminated or not pods:
            return
        failed = next((pod for pod in pods if pod.phase == "Failed"), None)
        if failed and not batch.failure_reason:
            message = f"Container trainer for pod team/{failed.meta.name} failed with exit code {failed.exit_code} matching FailJob rule"
            batch = replace(batch, failure_reason="PodFailurePolicy", failure_message=message)
        if batch.failure_reason:
            for pod in pods:
                if pod.phase in ("Pending", "Running"):
                    self.pods[pod.meta.name] = replace(pod, phase="Failed", exit_code=45, finished=self.now)
            batch = replace(batch, terminated=True, finished=self.now)
        elif all(pod.phase == "Succeeded" for pod in pods):
            batch = replace(batch, complete=True, terminated=True, finished=self.now)
        self.jobs[name] = batch

    def run_pods(self) -> None:
        """Every pod that waits is scheduled and started."""
        for pod in list(self.pods.values()):
            if pod.phase == "Pending":
                begun: dict[str, Any] = {"phase": "Running", "node": "n1", "scheduled": True, "scheduled_at": self.now, "started": self.now}
                self.pods[pod.meta.name] = replace(pod, **begun)

    def end_pods(self, code: int = 0, message: str = "", **more: Any) -> None:
        """Every running pod ends: with its stage's result where the code is 0."""
        for pod in list(self.pods.values()):
            if pod.phase == "Running" and not pod.meta.deleting:
                stage: Stage = re.findall(r"-(prepare|train|publish|inspect)-", pod.meta.name)[0]
                ends = code
                if code == 0 and stage != "inspect":
                    ends = self._work_in_workspace(stage)
                said = message or (result(stage) if ends == 0 else "")
                over = replace(pod, phase="Failed" if ends else "Succeeded", exit_code=ends, exit_message=said, finished=self.now)
                self.pods[pod.meta.name] = replace(over, **more)

    def _work_in_workspace(self, stage: Stage) -> int:
        """A stage needs the workspace that prepare has filled, as it has filled it. Returns its exit code."""
        uid = self.claims["tune-workspace"].meta.uid
        self.prepared = uid if stage == "prepare" else self.prepared
        self.damaged = self.damaged and stage != "prepare"
        assert uid == self.prepared, f"{stage} ran on an empty workspace"
        return ExitCode.WORKSPACE_DAMAGED if self.damaged else 0

    def set_spec(self, **more: Any) -> None:
        """The user changes the spec."""
        assert self.job.spec is not None
        meta = replace(self.job.meta, generation=self.job.meta.generation + 1)
        self.job = replace(self.job, meta=meta, spec=self.job.spec.model_copy(update=more))

    def running_job(self) -> BatchJob | None:
        """The Job of a stage that is not over."""
        return next((b for b in self.jobs.values() if not b.terminated and "-inspect-" not in b.meta.name), None)

    def do(self, message: str = "") -> None:
        """The next stage runs and succeeds, with this result where one is given."""
        self.reconcile()
        self.run_pods()
        self.reconcile()
        self.end_pods(message=message)
        self.tick()
        self.reconcile()

    def calm(self, limit: int = 200) -> None:
        """Nothing bad happens any more: pods start and succeed, until the job is over."""
        for _ in range(limit):
            self.reconcile()
            if self.job.status.phase in ("Succeeded", "Failed", "Cancelled"):
                return
            self.run_pods()
            self.reconcile()
            self.end_pods()
            self.tick()
        raise AssertionError(f"not over after {limit} steps: {self.job.status}")


def condition_of(world: World, type_: str) -> tuple[str, str] | None:
    """Status and reason of a condition of the job."""
    return next(((c.status, c.reason) for c in world.job.status.conditions if c.type == type_), None)

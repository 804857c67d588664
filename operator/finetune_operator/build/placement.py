"""Where the stages of a job run, as far as the workspace volume determines it.

A ReadWriteOnce volume is bound to the zone or node of its first pod. An existing claim or a ReadWriteMany volume does not restrict the
stages.
"""

from finetune_api.resources.common import PodSettings
from finetune_api.resources.finetune_job import FineTuneJobSpec

HOST = "kubernetes.io/hostname"


def within_reach_of_training(pod: PodSettings, spec: FineTuneJobSpec) -> PodSettings:
    """For prepare, which needs no GPU node but binds the volume: in the zone or on the node that the training selects."""
    if _anywhere(spec):
        return pod
    places = {label: value for label, value in spec.training.pod.node_selector.items() if _is_place(label)}
    if HOST in places:
        return beside_training(pod, spec)
    return pod.model_copy(update={"node_selector": {**places, **pod.node_selector}})


def beside_training(pod: PodSettings, spec: FineTuneJobSpec) -> PodSettings:
    """On the nodes for the training, without GPUs."""
    if _anywhere(spec):
        return pod
    train = spec.training.pod
    missing = [toleration for toleration in train.tolerations if toleration not in pod.tolerations]
    return pod.model_copy(
        update={"node_selector": {**train.node_selector, **pod.node_selector}, "tolerations": [*pod.tolerations, *missing]}
    )


def beside_publish(spec: FineTuneJobSpec) -> PodSettings:
    """The placement of the publish pod, for a pod that mounts the same volume, which may be bound to that node or zone."""
    pod = beside_training(spec.publishing.pod, spec)
    return pod.model_copy(update={"image": None, "labels": {}, "annotations": {}, "env": [], "env_from": []})


def can_move(spec: FineTuneJobSpec) -> bool:
    """True when prepare on the nodes for the training could bind the volume in another place."""
    pod = spec.preparation.pod
    return beside_training(pod, spec) != within_reach_of_training(pod, spec)


def _anywhere(spec: FineTuneJobSpec) -> bool:
    return bool(spec.workspace.claim_name) or spec.workspace.storage.access_mode == "ReadWriteMany"


def _is_place(label: str) -> bool:
    """True for labels with the location of a node: hostname, zone, region. Drivers have their own topology labels."""
    return label == HOST or label.startswith(("topology.", "failure-domain."))

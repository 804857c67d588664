"""Where the stages of a job run, as far as the workspace's volume has a say.

A ReadWriteOnce volume stays in the zone, or on the node, of its first pod; one that an existing claim stands for, or that every node
can mount, says nothing.
"""

from finetune_api.resources.common import Pod
from finetune_api.resources.finetune_job import FineTuneJobSpec

HOST = "kubernetes.io/hostname"


def within_reach_of_training(pod: Pod, spec: FineTuneJobSpec) -> Pod:
    """For prepare, which needs no GPU node, but binds the volume: where the training names its zone or node, it goes there too."""
    if _anywhere(spec):
        return pod
    places = {label: value for label, value in spec.training.pod.node_selector.items() if _is_place(label)}
    if HOST in places:
        return beside_training(pod, spec)
    return pod.model_copy(update={"node_selector": {**places, **pod.node_selector}})


def beside_training(pod: Pod, spec: FineTuneJobSpec) -> Pod:
    """On the nodes that take the training, without its GPUs."""
    if _anywhere(spec):
        return pod
    train = spec.training.pod
    missing = [toleration for toleration in train.tolerations if toleration not in pod.tolerations]
    return pod.model_copy(
        update={"node_selector": {**train.node_selector, **pod.node_selector}, "tolerations": [*pod.tolerations, *missing]}
    )


def beside_publish(spec: FineTuneJobSpec) -> Pod:
    """The placement of the publish pod, for a pod that mounts what it has written: the volume may be bound to that node or zone."""
    pod = beside_training(spec.publishing.pod, spec)
    return pod.model_copy(update={"image": None, "labels": {}, "annotations": {}, "env": [], "env_from": []})


def can_move(spec: FineTuneJobSpec) -> bool:
    """True when a prepare beside the training could bind the volume elsewhere than one that chose its own place."""
    pod = spec.preparation.pod
    return beside_training(pod, spec) != within_reach_of_training(pod, spec)


def _anywhere(spec: FineTuneJobSpec) -> bool:
    return bool(spec.workspace.claim_name) or spec.workspace.storage.access_mode == "ReadWriteMany"


def _is_place(label: str) -> bool:
    """True for labels that say where a node is: itself, its zone, its region. Drivers have topology labels of their own."""
    return label == HOST or label.startswith(("topology.", "failure-domain."))

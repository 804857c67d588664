"""The next step for the user, by the reason of a failure or a blocker."""

from finetune_operator.build.stages import STAGES

_ADVICE = {
    "ImagePullFailed": "check the image's name and tag, and {field}pod.imagePullSecrets",
    "SecretNotFound": "create the Secret in this namespace",
    "SecretKeyNotFound": "add the key to the Secret",
    "ConfigMapNotFound": "create the ConfigMap in this namespace",
    "ConfigMapKeyNotFound": "add the key to the ConfigMap, or correct the key in the source",
    "VolumeClaimNotFound": "create the claim, or correct its name in the spec",
    "VolumeClaimTerminating": "wait until the claim is deleted, or use another one",
    "VolumeLost": "the volume of the claim is lost: delete the claim",
    "VolumeInUse": "stop the other pod that uses the volume, or use a claim with access mode ReadWriteMany",
    "VolumeNotBound": "check that the storage class exists and can provision volumes of this size and access mode",
    "VolumeProvisioningFailed": "check that the storage class exists and can provision volumes of this size and access mode",
    "VolumeMountFailed": "check the volume and the node that mounts it",
    "VolumeAttachFailed": "check the volume and the node that it is attached to",
    "QuotaExceeded": "raise the quota, or lower {field}resources",
    "ServiceAccountNotFound": "create the ServiceAccount, or correct {field}pod.serviceAccountName",
    "Refused": "change what the message names; the operator retries until then",
    "Unschedulable": "add matching nodes, or relax {field}resources and {field}pod",
    "NodeOfVolumeFull": (
        "pods with the same ReadWriteOnce volume share a node, which has no free capacity: free some capacity there, scale to 0 and back, "
        "or train with output.storage.accessMode ReadWriteMany"
    ),
    "VolumeElsewhere": (
        "a node has capacity but cannot mount the volume, which is bound where its first pod ran: wait there, or in a new job "
        "set preparation.pod.nodeSelector to the zone of the nodes for training, or workspace.storage.accessMode to ReadWriteMany"
    ),
    "QueuedByKueue": "check that the LocalQueue in queueName exists and has quota",
    "OutOfMemory": "in a new job raise {field}resources.limits.memory, or lower hyperparameters.maxSequenceLength",
    "DoesNotFit": "in a new job raise {field}resources.limits.memory, or lower hyperparameters.maxSequenceLength",
    "StorageFull": "in a new job set a larger size in workspace.storage (prepare and train) or output.storage (publish)",
    "Diverged": "lower hyperparameters.learningRate, or set hyperparameters.maxGradNorm",
    "NodeLost": "bring the node back, delete its Node object, or taint it node.kubernetes.io/out-of-service",
    "NameTaken": "wait until it is gone, delete it, or use another name",
}

_SPECIFIC = {
    "server": {
        "VolumeElsewhere": "a node has capacity but cannot mount the volume: add nodes where the volume is, or change pod.nodeSelector",
        "OutOfMemory": "raise resources.limits.memory, or lower maxConcurrency or maxContext",
        "VolumeInUse": "stop the other pod that uses the volume, or train with output.storage.accessMode ReadWriteMany",
        "VolumeClaimTerminating": "deploy a model on another claim",
        "VolumeClaimNotFound": "restore the claim, or deploy another model",
        "ProgressDeadlineExceeded": "see the newest pod's log, and raise progressDeadline if the model just takes a long time to load",
    },
    "inspect": {
        "ImagePullFailed": "check the chart's images.trainer and imagePullSecrets",
        "QuotaExceeded": "raise the quota",
        "Unschedulable": "add nodes that match",
    },
}
"""Where the next step differs for a ModelDeployment or for the inspection of a model."""


def field_of(stage: str) -> str:
    """The spec field that configures a stage of a job; other names are returned unchanged."""
    return next((definition.field for name, definition in STAGES.items() if name == stage), stage)


def with_advice(message: str, reason: str, stage: str = "train") -> str:
    """The message followed by the next step, if there is one. `stage` is prepare, train, publish, server or inspect."""
    step = _SPECIFIC.get(stage, {}).get(reason) or _ADVICE.get(reason, "")
    step = step.replace("{field}", f"{field_of(stage)}." if stage in STAGES else "")
    return f"{message.rstrip('.')}: {step}" if step and message else step or message

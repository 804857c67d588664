"""What to do next, by the reason of a failure or a hold-up."""

_ADVICE = {
    "ImagePullFailed": "check the image's name and tag, and the imagePullSecrets of the stage's pod",
    "SecretNotFound": "create the Secret in this namespace",
    "SecretKeyNotFound": "add the key to the Secret",
    "ConfigMapNotFound": "create the ConfigMap in this namespace",
    "ConfigMapKeyNotFound": "add the key to the ConfigMap, or correct the key in the source",
    "VolumeClaimNotFound": "create the claim, or correct its name in the spec",
    "VolumeClaimTerminating": "wait until the claim has gone, or use another one",
    "VolumeLost": "the volume behind the claim has gone: delete the claim",
    "VolumeInUse": "end the other pod that uses the volume, or use a claim with access mode ReadWriteMany",
    "VolumeNotBound": "check that the storage class exists and can make volumes of this size and access mode",
    "VolumeProvisioningFailed": "check that the storage class exists and can make volumes of this size and access mode",
    "VolumeMountFailed": "check the volume and the node that mounts it",
    "VolumeAttachFailed": "check the volume and the node that it is attached to",
    "QuotaExceeded": "raise the quota, or ask for less in the stage's resources",
    "ServiceAccountNotFound": "create the ServiceAccount, or correct the pod's serviceAccountName",
    "Refused": "change what the message names; it is tried again until then",
    "Unschedulable": "add nodes that match, or ask for less in the stage's resources and pod",
    "QueuedByKueue": "check that the LocalQueue in queueName exists and has quota",
    "OutOfMemory": "in a new job raise {stage}.resources.limits.memory, or lower hyperparameters.maxSequenceLength",
    "DoesNotFit": "in a new job raise {stage}.resources.limits.memory, or lower hyperparameters.maxSequenceLength",
    "StorageFull": "in a new job set a larger size in workspace.storage (prepare and train) or output.storage (publish)",
    "Diverged": "lower hyperparameters.learningRate, or set hyperparameters.maxGradNorm",
    "NodeLost": "bring the node back, delete its Node object, or taint it node.kubernetes.io/out-of-service",
    "NameTaken": "wait until it has gone, delete it, or use another name",
}

FIELD = {"prepare": "preparation", "train": "training", "publish": "publishing"}
"""The spec field that configures a stage."""


def with_advice(message: str, reason: str, stage: str = "train") -> str:
    """The message with the next step behind it, where one is known."""
    step = _ADVICE.get(reason, "").replace("{stage}", FIELD.get(stage, stage))
    return f"{message.rstrip('.')}: {step}" if step and message else step or message

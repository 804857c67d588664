"""Contract 1: the custom resources of group finetune.dev, written once as pydantic models.

`make crds` turns them into crds/, the chart's copy and docs/reference.md. A field is here only if it works.
"""

GROUP = "finetune.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

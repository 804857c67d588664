"""The ConfigMap with run.json."""

from typing import Any

from finetune_api.run_config import RUN_CONFIG_FILE, RunConfig
from finetune_operator.build.owner import child_metadata
from finetune_operator.objects.names import JOB_LABEL, run_config_map
from finetune_operator.objects.records import Meta


def run_config_map_object(meta: Meta, config: RunConfig) -> dict[str, Any]:
    """Created once per job. Not `immutable`: the kubelet would keep the content for a recreated job with the same name."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata("FineTuneJob", meta, run_config_map(meta.name), {JOB_LABEL: meta.name}),
        "data": {RUN_CONFIG_FILE: config.to_json(indent=2)},
    }

"""Contract 2: the run config, and the one way from a spec to it.

contract.py    the document: a JSON file in a ConfigMap that every stage pod of a job mounts
sources.py     the addresses in a spec
hardware.py    what a training process will have, as far as the spec says
build.py       from a FineTuneJob's spec to its run config, in a cluster as on a laptop
"""

from finetune_api.run_config.build import Place, build_run_config
from finetune_api.run_config.contract import (
    CPUS_VARIABLE,
    HALVE_VARIABLE,
    RUN_CONFIG_FILE,
    JobIdentity,
    RunBase,
    RunConfig,
    RunCustomLoss,
    RunDataset,
    RunHardware,
    RunHyperparameters,
    RunLimits,
    RunMethod,
    RunNetwork,
    RunPaths,
    RunRows,
    RunSft,
    RunSource,
    RunStrategy,
    RunWorld,
)
from finetune_api.run_config.hardware import GpuType, Prices, hardware, usable_cpus
from finetune_api.run_config.sources import Source, spec_sources

__all__ = [
    "CPUS_VARIABLE",
    "HALVE_VARIABLE",
    "RUN_CONFIG_FILE",
    "GpuType",
    "JobIdentity",
    "Place",
    "Prices",
    "RunBase",
    "RunConfig",
    "RunCustomLoss",
    "RunDataset",
    "RunHardware",
    "RunHyperparameters",
    "RunLimits",
    "RunMethod",
    "RunNetwork",
    "RunPaths",
    "RunRows",
    "RunSft",
    "RunSource",
    "RunStrategy",
    "RunWorld",
    "Source",
    "build_run_config",
    "hardware",
    "spec_sources",
    "usable_cpus",
]

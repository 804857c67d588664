"""The five contracts between finetune-operator's processes.

1. the custom resources            `finetune_api.resources`
2. the run config                  `finetune_api.run_config`
3. the progress line               `finetune_api.progress`
4. the result and the exit codes   `finetune_api.result`, `finetune_api.exit_codes`
5. the model directory             `finetune_api.model_directory`

    resources/          the custom resources as pydantic models
    run_config/         the run config, and how a spec becomes one
    progress.py         the progress line
    result.py           what a stage reports when it ends
    exit_codes.py       the exit codes of a stage
    model_directory.py  MANIFEST.json and the layout of a model directory
    dataset_report.py   report.json: what prepare found in the dataset
    engines.py          the inference engines: artifact, GPUs, and the field of a job that each needs
    metrics.py          names, notation and direction of the metrics
    comparison.py       whether a tuned model is better than its base
    registry.py         tasks, methods, strategies, engines, artifacts: entries by name
    document.py         the base class of all documents
    bounded.py          numbers of other processes, limited to what a status can hold
    quantity.py         Kubernetes quantities
    crds/               `make crds`: the CustomResourceDefinitions and docs/reference.md

Nothing here knows Kubernetes clients, torch or HTTP: the package depends on pydantic alone, and every other package of
this project depends on it and on no other.
"""

CONTRACT_VERSION = 1
"""Version of contracts 2 to 5. A stage or server program refuses a file of another version."""

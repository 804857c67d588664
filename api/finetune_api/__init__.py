"""The five contracts between finetune-operator's processes.

1. the custom resources            `finetune_api.resources`
2. the run config                  `finetune_api.run_config`
3. the progress line               `finetune_api.progress`
4. the result and the exit codes   `finetune_api.result`, `finetune_api.exit_codes`
5. the model directory             `finetune_api.model_directory`

Nothing here knows Kubernetes clients, torch or HTTP: the package depends on pydantic alone, and every other package of
this project depends on it and on no other.
"""

CONTRACT_VERSION = 1
"""Version of contracts 2 to 5. A stage or server program refuses a file of another version."""

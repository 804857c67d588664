"""The layout of the workspace folder.

prepared.json                      prepare's decisions (`prepared.Prepared`)
base/                              the base model, if it was downloaded
downloads/                         source files of the rows; deleted when prepare finishes
report.json                        what prepare found in the dataset, even if it was refused (finetune_api.dataset_report)
data/train.arrow                   Arrow IPC file, one row an example: input_ids list<int32>, loss_mask list<bool>;
                                   of a classifier: input_ids list<int32>, token_type_ids list<int8>, labels list<int32> (class indices
                                   that hold; for token-classification one for each token, or -100)
                                   of pairs also rejected_ids, rejected_mask: the same prompt with the other answer
data/validation.arrow              the same for the validation rows
data/prompts.arrow                 Arrow IPC file: input_ids list<int32>: validation prompts that end where the answer begins; not for a
                                   classifier
data/requests.json                 validation rows as requests to a server, with the tokens of their examples (`requests.HeldOutRequest`)
custom_loss.py                     the code of a user's own loss, as prepare read it
reference/train/                   log-probabilities of the training rows by the base model, for objectives that need them; `.complete`
checkpoints/attempt-N/checkpoint-S/  complete if it contains `.complete`; a resume considers all attempts
checkpoints/.restoring             copies of checkpoints are being brought back from an object store, and not all have come yet
metrics.csv                        one line per step; finetune_trainer.train.loop.metrics has the columns
run-id                             the training's identity and its id in trackers
runs/MODEL/                        TensorBoard event files, one for each attempt
wandb/                             what the Weights & Biases client keeps; in offline mode a folder for each attempt
trained/                           the final weights: adapter/ (LoRA) or model/ (full); `.complete`
results/STAGE.json                 the stages' results
logs/STAGE-N.log                   the output of attempt N of a stage; of a long log the older part is in STAGE-N-before.log; for a
                                   training also train-N-rank-R.log and, on nodes other than the first, train-N-node-R.log
"""

import re
from pathlib import Path

from finetune_api.dataset_report import REPORT_FILE
from finetune_api.result import Stage, result_path

CHECKPOINT_NAME = re.compile(r"attempt-(\d+)/checkpoint-(\d+)")


class Workspace:
    """Paths below one root folder."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.prepared = self.root / "prepared.json"
        self.base = self.root / "base"
        self.downloads = self.root / "downloads"
        self.report = self.root / REPORT_FILE
        self.train_rows = self.root / "data" / "train.arrow"
        self.validation_rows = self.root / "data" / "validation.arrow"
        self.prompts = self.root / "data" / "prompts.arrow"
        self.requests = self.root / "data" / "requests.json"
        self.custom_loss = self.root / "custom_loss.py"
        self.reference = self.root / "reference"
        self.checkpoints = self.root / "checkpoints"
        self.metrics = self.root / "metrics.csv"
        self.run_id = self.root / "run-id"
        self.runs = self.root / "runs"
        self.wandb = self.root / "wandb"
        self.trained = self.root / "trained"

    def result(self, stage: Stage) -> Path:
        """Result file of a stage."""
        return Path(result_path(str(self.root), stage))

    def log(self, stage: Stage, attempt: int, part: str = "") -> Path:
        """Log file of an attempt of a stage, or of a part of it."""
        return self.root / "logs" / f"{stage}-{attempt}{f'-{part}' if part else ''}.log"

    def attempt_checkpoints(self, attempt: int) -> Path:
        """Checkpoints of one attempt of the train stage."""
        return self.checkpoints / f"attempt-{attempt}"

"""The layout of the workspace folder: what each stage finds there and leaves there.

prepared.json                      prepare's decisions (`prepared.Prepared`)
base/                              the base model, when it had to be downloaded
downloads/                         rows as their source had them; gone when prepare has finished
report.json                        what prepare found in the data set, also when it refused it (finetune_api.dataset_report)
data/train.arrow                   Arrow IPC file, one row an example: input_ids list<int32>, loss_mask list<bool>;
                                   of a classifier: input_ids list<int32>, token_type_ids list<int8>, labels list<int32> (class indices
                                   that hold; for token-classification one for each token, or -100)
data/validation.arrow              the same, held out
data/prompts.arrow                 Arrow IPC file: input_ids list<int32>: held-out prompts that end where the assistant begins; not of a
                                   classifier
data/requests.json                 held-out rows as requests to a server, with the tokens of their examples (`requests.HeldOutRequest`)
checkpoints/attempt-N/checkpoint-S/  complete when it holds `.complete`; a resume reads all attempts
metrics.csv                        step,epoch,loss,learning_rate,grad_norm,tokens,tokens_per_second; a line a logged step
trained/                           the final weights: adapter/ (LoRA) or model/ (full); `.complete`
results/STAGE.json                 the stages' results
logs/STAGE-N.log                   what attempt N of a stage printed, the end of it in this file where it is long and what was before it in
                                   STAGE-N-before.log; of a training also train-N-rank-R.log and, of the nodes but the first,
                                   train-N-node-R.log
"""

from pathlib import Path

from finetune_api.dataset_report import REPORT_FILE
from finetune_api.result import Stage, result_path


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
        self.checkpoints = self.root / "checkpoints"
        self.metrics = self.root / "metrics.csv"
        self.trained = self.root / "trained"

    def result(self, stage: Stage) -> Path:
        """Where a stage leaves its result."""
        return Path(result_path(str(self.root), stage))

    def log(self, stage: Stage, attempt: int, part: str = "") -> Path:
        """Where an attempt of a stage, or a part of it, keeps what it prints."""
        return self.root / "logs" / f"{stage}-{attempt}{f'-{part}' if part else ''}.log"

    def attempt_checkpoints(self, attempt: int) -> Path:
        """Where one attempt of the train stage writes its checkpoints."""
        return self.checkpoints / f"attempt-{attempt}"

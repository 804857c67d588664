"""report.json: all that prepare found in a dataset, in the workspace and in the model directory."""

from finetune_api import CONTRACT_VERSION
from finetune_api.document import LenientDocument
from finetune_api.result import DatasetSummary, Expectation, MemoryEstimate, ResolvedParameter

REPORT_FILE = "report.json"


class Bin(LenientDocument):
    """One bar of a histogram: the numbers above the bar before it, up to and with `up_to`."""

    up_to: int
    count: int


class Side(LenientDocument):
    """The examples of one side after the split."""

    source: str
    format: str = ""
    """"JSONL, OpenAI chat"."""
    rows_read: int = 0
    invalid_rows: int = 0
    examples: int = 0
    tokens: int = 0
    supervised_tokens: int = 0
    truncated_examples: int = 0
    truncated_tokens: int = 0
    lengths: list[Bin] = []
    """Tokens of an example before the cut."""
    turns: list[Bin] = []
    """Messages of a conversation."""
    labels: dict[str, int] = {}
    """Examples of each label, the most frequent first, at most 1,000."""


class DatasetReport(LenientDocument):
    """The content of report.json."""

    contract_version: int = CONTRACT_VERSION
    task: str
    valid: bool = True
    summary: DatasetSummary | None = None
    train: Side | None = None
    validation: Side | None = None
    findings: list[str] = []
    """The first 50 things that are wrong with rows, a line each."""
    finding_kinds: dict[str, int] = {}
    """How many there are of each kind."""
    notes: list[str] = []
    """What is worth a look although it is valid."""
    hyperparameters: dict[str, ResolvedParameter] = {}
    memory: MemoryEstimate | None = None
    expected: Expectation | None = None

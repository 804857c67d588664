"""The rows of a job: where they are, and which of them are for validation."""

from typing import Annotated

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import Credentials, rule, rules
from finetune_api.resources.source import OPTIONAL_SOURCE_RULES, Columns, DataAddress, DataSource, RowFormat, RowSlice, RowTemplate


class Split(Document):
    """Split selects validation rows from the training file. The same seed selects the same rows on every machine."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """fraction of the rows to use for validation."""
    seed: Annotated[int, Field(ge=0, le=2147483647)] = 42
    """seed determines which rows are selected."""
    stratify_by: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """stratifyBy is a field whose values have the same proportions in both splits. Defaults to the label for sequence-classification."""
    group_by: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """groupBy is a field whose rows with equal values stay in the same split, for example the customer, document or author."""


class Validation(Document):
    """The validation rows. Exactly one of `split` (a fraction of the training file) and `source` (a separate file) must be set."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.split) != has(self.source)", "exactly one of split and source must be set"),
            rule(
                "has(self.source) || !(has(self.format) || has(self.template) || has(self.slice) || "
                "(has(self.columns) && size(self.columns) > 0))",
                "format, columns, template and slice require dataset.validation.source",
            ),
            *OPTIONAL_SOURCE_RULES,
        )
    }
    split: Split | None = None
    """split selects a fraction of the training file."""
    source: DataAddress | None = None
    """source is the address of a separate file, in the same form as for train."""
    credentials: Credentials | None = None
    """Same as for train."""
    format: RowFormat | None = None
    """Same as for train."""
    columns: Columns = {}
    """Same as for train."""
    template: RowTemplate | None = None
    """Same as for train."""
    slice: RowSlice | None = None
    """Same as for train."""


class DatasetLimits(Document):
    """Limits for invalid rows."""

    max_invalid_fraction: Annotated[float, Field(ge=0, lt=1)] = 0
    """maxInvalidFraction is the fraction of rows that may be invalid. Invalid rows are dropped and counted in
    status.dataset.invalidRows; the job fails if there are more."""


class Dataset(Document):
    """Training rows and validation rows. The fields of a row depend on the task:

    chat {"messages": [{"role": ..., "content": ...}, ...], "tools": [...]}; completion {"prompt": ..., "completion": ...}; summarization
    {"document": ..., "summary": ...}; sequence-classification {"text": ..., "text_pair": ..., "label": ...}, where a list of labels is
    multi-label; token-classification {"tokens": [...], "tags": [...]}, tags as in BIO; text-embedding {"anchor": ..., "positive": ...,
    "negative": ...}, where the negative is optional, or two texts with a similarity from -1 to 1, {"sentence1": ..., "sentence2": ...,
    "score": ...}. With method.objective dpo or orpo, a row of chat is {"prompt": [...], "chosen": [...], "rejected": [...]}, each a list of
    messages, or OpenAI's {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}; a row of completion has
    three texts. With kto, it is {"prompt": [...], "completion": [...], "label": ...} or {"messages": [...], "label": ...}, where the label
    is true for a desirable answer, false for an undesirable one; a row of completion has two texts and a label.
    """

    train: DataSource
    """train is the source of the training rows."""
    validation: Validation = Validation(split=Split())
    """validation is the source of the validation rows. Defaults to a tenth of the training file."""
    limits: DatasetLimits = DatasetLimits()
    """limits for invalid rows."""

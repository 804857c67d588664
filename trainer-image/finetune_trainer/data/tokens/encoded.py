"""What an encoder makes of a row. Knows neither tokenizers nor files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from finetune_trainer.tasks.rows import Row

ExampleKind = Literal["language", "sequence", "token", "pair", "rated", "embedding"]
"""What an example holds: tokens and their loss mask, a text and its labels, words and their tags, two answers, an answer and whether it is
desirable, two or three texts."""


@dataclass(frozen=True)
class Encoded:
    """One example of a language model."""

    input_ids: npt.NDArray[np.int32]
    loss_mask: npt.NDArray[np.bool_]
    """True where a token is to be learned. Never at index 0, which nothing predicts."""
    where: str = ""
    """Of which row: "line 17"."""


@dataclass(frozen=True)
class Paired(Encoded):
    """A prompt with the preferred answer, and beside it the same prompt with the other one."""

    rejected_ids: npt.NDArray[np.int32] = field(kw_only=True)
    rejected_mask: npt.NDArray[np.bool_] = field(kw_only=True)


@dataclass(frozen=True)
class Rated(Encoded):
    """A prompt with an answer that is rated."""

    label: npt.NDArray[np.bool_] = field(kw_only=True)
    """Of one value, true for a desirable answer."""


@dataclass(frozen=True)
class Classified:
    """One example of a classifier."""

    input_ids: npt.NDArray[np.int32]
    token_type_ids: npt.NDArray[np.int8]
    labels: npt.NDArray[np.int32]
    """Class indices that hold; of a classifier of tokens the class of each token, or IGNORED (finetune_text.tags)."""
    segments: npt.NDArray[np.int8]
    """Which text each token comes from: 0, 1 for a text pair's second, -1 for special tokens."""
    where: str = ""


@dataclass(frozen=True)
class Embedded:
    """Two or three texts, each by itself."""

    input_ids: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int8]
    """0 for a token of the text, -1 for a special token."""
    positive_ids: npt.NDArray[np.int32]
    positive_segments: npt.NDArray[np.int8]
    negative_ids: npt.NDArray[np.int32]
    """Empty without a negative."""
    negative_segments: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float32]
    """The row's score, or nothing."""
    where: str = ""


@dataclass(frozen=True)
class Refused:
    """A row that the chat template does not take, or cannot be masked for."""

    where: str
    reason: str
    """What the template does."""
    by_template: bool
    """True: the template raised an error, or leaves something out. False: what the assistant said cannot be separated from the rest."""


Example = Encoded | Classified | Embedded


class Encoder(Protocol):
    """Rows in, examples out."""

    @property
    def kind(self) -> ExampleKind:
        """What its examples hold."""

    def encode(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Example | Refused]:
        """The examples of each row, in order; a row comes with words for where it is."""

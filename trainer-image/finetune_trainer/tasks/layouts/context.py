"""What is known of one record on its way to a row, beside its fields."""

from dataclasses import dataclass, field

from finetune_trainer.tasks.explain.names import OPENAI, Names


@dataclass
class Context:
    """Of one record. Steps write into it."""

    from_table: bool = False
    """True for a row of Parquet, Arrow or CSV."""
    names: Names = OPENAI
    """What its parts are called."""
    remarks: list[str] = field(default_factory=list)
    """What is worth a note although the row is right: sentences that are the same for all rows that they hold for."""

    def remark(self, sentence: str) -> None:
        """Takes a sentence down, once."""
        if sentence not in self.remarks:
            self.remarks.append(sentence)

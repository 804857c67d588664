"""What is wrong with a record, for the person who wrote it.

What these functions find decides whether a row is valid. They are thorough, so they are asked only about records that
are not right at first sight.
"""

from finetune_trainer.tasks.explain.json_text import Wrong, parse
from finetune_trainer.tasks.explain.problem import Problem

__all__ = ["Problem", "Wrong", "parse"]

"""What is wrong with a record, in words for the person who wrote it: one file a task.

What these functions find decides whether a row is valid. They are thorough, so the survey asks them only about records that
are not right at first sight.
"""

from finetune_trainer.tasks.explain.json_text import Wrong, parse
from finetune_trainer.tasks.explain.problem import Problem

__all__ = ["Problem", "Wrong", "parse"]

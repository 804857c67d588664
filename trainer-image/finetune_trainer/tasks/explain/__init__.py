"""What is wrong with a record, for the person who wrote it.

What these functions find decides whether a row is valid. They are thorough, so they are asked only about records that
are not right at first sight.

    problem.py    one finding, and how values are shown
    json_text.py  texts that are not JSON
    chat.py       conversations
    content.py    the content of a message
    tools.py      tools and tool calls
    weights.py    message weights
    texts.py      rows of two texts
    preferences.py  rows of a prompt and its answers
    ratings.py    labels of answers
    names.py      what the parts of a conversation are called in the file
"""

from finetune_trainer.tasks.explain.json_text import Wrong, parse
from finetune_trainer.tasks.explain.problem import Problem

__all__ = ["Problem", "Wrong", "parse"]

"""The tasks: what rows look like, what is wrong with one that is not right, and what a learner gets of it. One file a task.

chat.py, completion.py, summarization.py, sequence_classification.py, token_classification.py, text_embedding.py
                  the tasks
preference.py     the rows of chat and completion with two answers, for objectives that compare them (not in TASKS)
rated.py          those with one answer and a label, for objectives that rate it (not in TASKS)
task.py           what a task is: the row side
learner.py        what a task gives to its learner: a language model, a classifier of texts or words, an embedding model
rows.py           what rows of all tasks have in common
conversation.py   the row of task chat, and how it is made from a record
plain.py          many rows at once that are right at first sight
plain_chat.py     the same for conversations
lossless.py       whether decoding has lost something that the bytes say
explain/          what is wrong with a record
layouts/          layouts of other programs, and the steps from them to a task's own

Knows neither files nor tokens. An installed package adds a task by an entry point of the group finetune.tasks (docs/extending.md).
"""

from finetune_api.registry import Registry
from finetune_trainer.failure import entry_of
from finetune_trainer.tasks.chat import ChatTask
from finetune_trainer.tasks.completion import CompletionTask
from finetune_trainer.tasks.learner import EmbeddingTask, LanguageTask, SequenceTask, TokenTask
from finetune_trainer.tasks.sequence_classification import SequenceClassificationTask
from finetune_trainer.tasks.summarization import SummarizationTask
from finetune_trainer.tasks.task import LearnerName, Task
from finetune_trainer.tasks.text_embedding import TextEmbeddingTask
from finetune_trainer.tasks.token_classification import TokenClassificationTask

__all__ = ["TASKS", "AnyTask", "EmbeddingTask", "LanguageTask", "LearnerName", "SequenceTask", "Task", "TokenTask", "find_task"]

AnyTask = LanguageTask | SequenceTask | TokenTask | EmbeddingTask

TASKS: Registry[AnyTask] = Registry(
    "task",
    "finetune.tasks",
    ChatTask(),
    CompletionTask(),
    SummarizationTask(),
    SequenceClassificationTask(),
    TokenClassificationTask(),
    TextEmbeddingTask(),
)


def find_task(name: str) -> AnyTask:
    """The task of this name. Raises StageFailure InvalidSpec."""
    return entry_of(TASKS, name, "task")

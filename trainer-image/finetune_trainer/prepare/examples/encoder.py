"""What turns the rows of a job's task into token ids: the base's tokenizer, its chat template or what stands in for it."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain

from tokenizers import Tokenizer

from finetune_api.run_config import RunConfig
from finetune_text.chat_template import ChatTemplate, InvalidTemplate
from finetune_text.control_text import control_text_of
from finetune_text.markers import markers_of
from finetune_text.standard_templates import PLAIN, chatml_with_tools, is_chatml
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.classes import ClassEncoder
from finetune_trainer.data.tokens.embedding import EmbeddingEncoder
from finetune_trainer.data.tokens.encoded import Encoder
from finetune_trainer.data.tokens.language import LanguageEncoder, Renderer
from finetune_trainer.data.tokens.pairs import PairEncoder
from finetune_trainer.data.tokens.rated import RatedEncoder
from finetune_trainer.data.tokens.texts import TextRenderer
from finetune_trainer.failure import invalid
from finetune_trainer.prepare.base.base import ExaminedBase
from finetune_trainer.prepare.base.files import unsupported
from finetune_trainer.prepare.dataset.dataset import ProfiledDataset
from finetune_trainer.tasks import LanguageTask, find_task
from finetune_trainer.tasks.preference import PairTask
from finetune_trainer.tasks.rated import RatedTask


@dataclass(frozen=True)
class TaskEncoder:
    """An encoder, and what the model has to be published with."""

    encoder: Encoder
    chat: ChatRenderer | None = None
    """Where rows become conversations."""
    own_template: str | None = None
    """The chat template, where it is not the base's own."""
    eos_token_ids: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def base_template(config: RunConfig, base: ExaminedBase) -> ChatTemplate | None:
    """The chat template that rows will be rendered with; None for a task without one.

    Raises StageFailure for a template that is not one.
    """
    task, text = find_task(config.task), base.config.chat_template
    if task.learner != "language" or task.prompting == "text" or (text is None and task.prompting == "chat or text"):
        return None
    if text is None and "eos_token" not in base.config.special_tokens:
        raise unsupported(
            base.subject,
            "has neither a chat template nor an eos_token (tokenizer_config.json), so that an answer would have no end: "
            "put a chat_template.jinja into the folder",
        )
    return compiled(base, PLAIN if text is None else text)


def compiled(base: ExaminedBase, text: str) -> ChatTemplate:
    """A template with the base's special tokens; strftime_now tells one moment for the whole run. Raises StageFailure."""
    now = datetime.now()
    try:
        return ChatTemplate(text, base.config.special_tokens, control_text_of(base.config.tokenizer), lambda: now)
    except InvalidTemplate as exc:
        raise unsupported(base.subject, f"has a chat template that is not valid Jinja: {exc}") from exc


def task_encoder(config: RunConfig, base: ExaminedBase, dataset: ProfiledDataset, template: ChatTemplate | None) -> TaskEncoder:
    """The encoder for a job's rows; raises StageFailure where the template does not know the tools that the rows have."""
    task = dataset.task
    if task.learner == "embedding":
        return TaskEncoder(EmbeddingEncoder(base.config.tokenizer, task))
    if task.learner != "language":
        return TaskEncoder(ClassEncoder(base.config.tokenizer, dataset.labels, task))
    if template is None:
        return plain_texts(config, base, task)
    return conversations(config, base, dataset, task, template)


def conversations(
    config: RunConfig, base: ExaminedBase, dataset: ProfiledDataset, task: LanguageTask, template: ChatTemplate
) -> TaskEncoder:
    """Rows, or what is made of them, through a chat template."""
    tokenizer, name = base.config.tokenizer, base.subject.name
    notes = []
    if base.config.chat_template is None:
        notes.append(f'{name} has no chat template: a default ("User:", "Assistant:") is used and published with the model')
    if task.tools and template.tools.calls == "ignored" and has_tools(dataset, task):
        template, which = template_with_tools(base, dataset, template)
        notes.append(f"the chat template of {name} does not support tools: {which} replaces it")
    markers = markers_of(tokenizer, base.config.special_tokens.get("eos_token", ""), base.config.eos_token_ids)
    chat = ChatRenderer(template, markers, partial(task.conversation, instructed=instructed(config)))
    marker = chat.markers.end_of_turn(template)
    end = tokenizer.token_to_id(marker) if marker else None
    return TaskEncoder(
        encoder_of(config, task, tokenizer, chat),
        chat,
        own_template=None if template.source == base.config.chat_template else template.source,
        eos_token_ids=list(dict.fromkeys([*base.config.eos_token_ids, *([] if end is None else [end])])),
        notes=notes,
    )


def plain_texts(config: RunConfig, base: ExaminedBase, task: LanguageTask) -> TaskEncoder:
    """Prompt and answer without a template, ended by the end-of-text token."""
    tokenizer, ids = base.config.tokenizer, base.config.eos_token_ids
    text = base.config.special_tokens.get("eos_token")
    end = tokenizer.token_to_id(text) if text else next(iter(ids), None)
    if end is None:
        raise unsupported(base.subject, "has no eos_token (tokenizer_config.json, generation_config.json): an answer would have no end")
    what = "" if instructed(config) else task.without_template()
    notes = [f"{base.subject.name} has no chat template: {what}"] if what else []
    renderer = TextRenderer(partial(task.texts, instructed=instructed(config)))
    return TaskEncoder(encoder_of(config, task, tokenizer, renderer, end), eos_token_ids=ids, notes=notes)


def encoder_of(config: RunConfig, task: LanguageTask, tokenizer: Tokenizer, renderer: Renderer, end: int | None = None) -> LanguageEncoder:
    """For rows of one answer, of two, or of one that is rated."""
    if isinstance(task, PairTask):
        return PairEncoder(tokenizer, renderer, task.sides, end)
    if isinstance(task, RatedTask):
        return RatedEncoder(tokenizer, renderer, task.label, end)
    return LanguageEncoder(tokenizer, renderer, config.method.loss_on, end)


def instructed(config: RunConfig) -> bool:
    """True where a template builds whole prompts."""
    return config.dataset.train.template is not None


def has_tools(dataset: ProfiledDataset, task: LanguageTask) -> bool:
    """True when a conversation of either side has tools or calls them."""
    rows = chain(dataset.train_rows(), dataset.validation_rows())
    return any(task.conversation(row).uses_tools for _, row in rows)


def template_with_tools(base: ExaminedBase, dataset: ProfiledDataset, template: ChatTemplate) -> tuple[ChatTemplate, str]:
    """What stands in for a template that ignores tools, and what it is; raises StageFailure where there is nothing."""
    if base.config.tool_template:
        own = compiled(base, base.config.tool_template)
        if own.tools.calls != "ignored":
            return own, "the model's own for tools (tool_use)"
    if not is_chatml(template, base.config.tokenizer.get_vocab()):
        raise invalid(
            "ChatTemplateUnsupported",
            f"the chat template of {base.subject.name} does not pass tools to the model, and {dataset.train.name} has rows with tools: "
            "use a base model whose template supports them, or remove tools and tool_calls from the rows",
            param=base.subject.param,
        )
    return compiled(base, chatml_with_tools(template)), "one that does (ChatML, calls as <tool_call>)"

"""The chat template of a published model. How it renders is finetune_text's affair."""

from finetune_server.model_directory import UnusableModel, VerifiedArtifact
from finetune_text.chat_template import ChatTemplate, InvalidTemplate
from finetune_text.tokenizer_files import UnreadableFile, read_tokenizer_files


def read_chat_template(artifact: VerifiedArtifact) -> ChatTemplate | None:
    """The template beside the graph or in tokenizer_config.json; None for a model without one. Raises UnusableModel."""
    try:
        files = read_tokenizer_files(artifact.folder)
        return None if files.chat_template is None else ChatTemplate(files.chat_template, files.special_tokens)
    except UnreadableFile as error:
        raise UnusableModel(f"{artifact.folder}/{error}; publish the model again") from error
    except InvalidTemplate as error:
        raise UnusableModel(f"{artifact.folder}: chat template: {error}; correct it and publish the model again") from error

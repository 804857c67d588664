"""What a published language model is asked. How a request becomes token ids is finetune_text's affair."""

from tokenizers import Tokenizer

from finetune_server.model_directory import UnusableModel, VerifiedArtifact
from finetune_text.chat_template import InvalidTemplate
from finetune_text.prompts import Prompts, read_prompts
from finetune_text.tokenizer_files import UnreadableFile


def open_prompts(artifact: VerifiedArtifact, tokenizer: Tokenizer) -> Prompts:
    """With the chat template beside the graph or in tokenizer_config.json, if there is one. Raises UnusableModel."""
    try:
        return read_prompts(artifact.folder, tokenizer)
    except UnreadableFile as error:
        raise UnusableModel(f"{artifact.folder}/{error}; publish the model again") from error
    except InvalidTemplate as error:
        raise UnusableModel(f"{artifact.folder}: chat template: {error}; correct it and publish the model again") from error

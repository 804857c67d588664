"""Proof that an exported model answers as the PyTorch model does: greedy continuations, token for token."""

from collections.abc import Callable, Sequence
from pathlib import Path

from finetune_api.model_directory import Parity
from finetune_trainer.export.greedy import Continuation, Decoder, continue_greedily, follow
from finetune_trainer.failure import StageFailure, invalid

TOKENS = 32
"""Tokens of a continuation that are compared."""


def expected_continuations(
    decoder: Callable[[], Decoder], prompts: Sequence[list[int]], end_tokens: list[int], show: Callable[[int], None]
) -> list[Continuation]:
    """What PyTorch answers; `decoder` makes a fresh decoder for each prompt, `show` is told the prompts done."""
    answers: list[Continuation] = []
    for prompt in prompts:
        answers.append(continue_greedily(decoder(), prompt, TOKENS, end_tokens))
        show(len(answers))
    return answers


def check_parity(
    artifact: str,
    decoder: Callable[[], Decoder],
    prompts: Sequence[list[int]],
    expected: Sequence[Continuation],
    words: Callable[[int], str],
    show: Callable[[int], None],
) -> Parity:
    """Compares every prompt; raises StageFailure (ParityFailed) naming the first prompt and token that differ.

    `words` turns a token into text for the message.
    """
    differences: list[str] = []
    for i, (prompt, answer) in enumerate(zip(prompts, expected, strict=True)):
        difference = follow(decoder(), prompt, answer)
        if difference is not None:
            at, chosen = difference
            wanted = answer.tokens[at]
            differences.append(
                f"prompt {i + 1} of {len(prompts)}: token {at + 1} of the answer is {chosen} ({words(chosen)!r}), "
                f"PyTorch's is {wanted} ({words(wanted)!r})"
            )
        show(i + 1)
    if differences:
        raise parity_failed(artifact, differences)
    return Parity(artifact=artifact, prompts=len(prompts), equal=len(prompts), tokens=max(len(answer.tokens) for answer in expected))


def parity_failed(artifact: str, differences: list[str]) -> StageFailure:
    """The export is not the model: a new attempt would compute the same."""
    return invalid(
        "ParityFailed",
        f"{artifact} does not answer as the PyTorch model: {differences[0]}. Leave export.onnx out and serve the model with PyTorch",
        param="export.onnx",
        details=differences[1:],
    )


def tokens_as_text(tokenizer_file: Path) -> Callable[[int], str]:
    """A function from a token to its text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    return lambda token: tokenizer.decode([token], skip_special_tokens=False)

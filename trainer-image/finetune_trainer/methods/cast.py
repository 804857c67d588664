"""The number format of a model's weights."""

from typing import Any


def cast_weights(model: Any, dtype: Any) -> Any:
    """The model with all its parameters in a torch dtype. Buffers stay as they are: rotary frequencies rounded to 16 bits would move the
    positions of tokens, and no server has them so."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model

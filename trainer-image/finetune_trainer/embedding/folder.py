"""The files by which sentence-transformers loads a folder as an embedding model."""

import json
from pathlib import Path
from typing import Any

from finetune_text.positions import usable_positions
from finetune_text.tokenizer_files import read_object
from finetune_trainer.workspace.prepared import Pooling

POOLING = "1_Pooling"
_KIND = "sentence_transformers.models."


def write_modules(folder: Path, pooling: Pooling, dimensions: int) -> None:
    """modules.json, the settings of pooling, and the length at which texts are cut: what the model takes."""
    modules = [("0", "", "Transformer"), ("1", POOLING, "Pooling"), ("2", "2_Normalize", "Normalize")]
    settings = {
        "word_embedding_dimension": dimensions,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    (folder / POOLING).mkdir(exist_ok=True)
    write(folder / POOLING / "config.json", settings)
    write(
        folder / "modules.json",
        [{"idx": int(name), "name": name, "path": path, "type": f"{_KIND}{kind}"} for name, path, kind in modules],
    )
    length = usable_positions(read_object(folder / "config.json"))
    write(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    write(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine", "prompts": {}, "default_prompt_name": None})


def write(path: Path, content: Any) -> None:
    """JSON for people, too."""
    path.write_text(json.dumps(content, indent=2) + "\n")

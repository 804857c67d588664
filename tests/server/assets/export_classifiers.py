"""Writes two untrained classifiers and an embedding model on a small encoder, as Hugging Face folders and as ONNX graphs. A program of
its own, since torch talks.

    python export_classifiers.py ENCODER OUT

The heads are drawn, and stretched until the classes of different texts differ.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

LAYERS = 2
CLASSES = {"sequence-classification": ["billing", "shipping", "other"], "token-classification": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]}
TEXTS = ["Hello", "Where is my parcel?", "The invoice is wrong, please send another one.", "rain rain rain", "my 7", "! ! !"]
NETWORKS: dict[str, Any] = {
    "sequence-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
}


def export(encoder: Path, task: str, out: Path) -> None:
    """hf/ and model.onnx below `out`."""
    labels = CLASSES[task]
    torch.manual_seed(5)
    network = NETWORKS[task].from_pretrained(
        encoder, num_hidden_layers=LAYERS, id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)}
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(encoder)
    stretch(network.eval(), tokenizer(TEXTS, padding=True, return_tensors="pt"))
    network.save_pretrained(out / "hf")
    tokenizer.save_pretrained(out / "hf")
    names = ("input_ids", "attention_mask", "token_type_ids")
    example = {name: torch.ones(2, 7, dtype=torch.long) for name in names}
    dimensions = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=512)}
    torch.onnx.export(
        network,
        (),
        out / "model.onnx",
        kwargs=example,
        input_names=list(names),
        output_names=["logits"],
        dynamic_shapes=dict.fromkeys(names, dimensions),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


@torch.no_grad()
def stretch(network: Any, texts: Any) -> None:
    """Gives each class's logit mean 0 and deviation 2 over the texts."""
    head = network.classifier
    logits = network(**texts).logits.reshape(-1, head.out_features)
    head.weight.mul_(2 / logits.std(0)[:, None])
    head.bias.copy_(-2 * logits.mean(0) / logits.std(0))


def export_embedding(encoder: Path, out: Path) -> None:
    """hf/ and model.onnx below `out`, by the trainer's own export."""
    from finetune_trainer.artifacts.onnx.embedding import export_embedding as write_graph
    from finetune_trainer.embedding.model import load_encoder

    AutoModel.from_pretrained(encoder, num_hidden_layers=LAYERS).save_pretrained(out / "hf")
    AutoTokenizer.from_pretrained(encoder).save_pretrained(out / "hf")
    write_graph(load_encoder(out / "hf"), "mean", out / "model.onnx")


if __name__ == "__main__":
    for task in CLASSES:
        export(Path(sys.argv[1]), task, Path(sys.argv[2]) / task)
    export_embedding(Path(sys.argv[1]), Path(sys.argv[2]) / "text-embedding")

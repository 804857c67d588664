"""What the libraries of a rank find in their environment."""

import pytest

from finetune_trainer.distributed.settings import library_settings

pytestmark = pytest.mark.unit


def test_library_settings() -> None:
    """Against fragmentation, cuDNN's plans and nccl issue 2190; what the user sets in the pod's environment goes first."""
    assert library_settings({"NCCL_CUMEM_HOST_ENABLE": "1"}) == {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "TORCH_CUDNN_SDPA_DEPRIORITIZED": "1",
        "NCCL_CUMEM_HOST_ENABLE": "1",
    }

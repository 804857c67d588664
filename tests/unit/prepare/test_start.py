"""What prepare costs before it does anything."""

import subprocess
import sys


def test_neither_torch_nor_transformers_is_imported() -> None:
    """Prepare runs in seconds on a small pod; botocore, too, is left to those who need it."""
    program = "import sys, finetune_trainer.prepare.main; print(*sys.modules)"
    modules = set(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split())
    assert {"msgspec", "tokenizers", "pyarrow"} <= modules
    assert not {"torch", "transformers", "pandas", "s3fs", "botocore"} & modules

"""adapter/: the PEFT adapter of a training with LoRA, for loaders that put it on the base themselves."""

import json
import shutil
from pathlib import Path

from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts.exporter import Exporter, ExportJob, ModelSize
from finetune_trainer.methods import method_of
from finetune_trainer.methods.method import FP32


class Adapter(Exporter):
    """adapter_config.json and adapter_model.safetensors."""

    name = "adapter"
    folder = "adapter"
    required = True

    def wanted(self, run: RunConfig) -> bool:
        """Of every method that trains one."""
        return method_of(run).published == "adapter"

    def size(self, model: ModelSize) -> int:
        """The trained parameters, which are held in fp32."""
        return FP32 * model.trained + model.small_files

    def export(self, job: ExportJob) -> None:
        """Copies what train left."""
        copy_adapter(job.run.weights, job.run.config.base.source.name, job.files / self.folder)


def copy_adapter(adapter: Path, base_name: str, folder: Path) -> None:
    """Copies an adapter; its config names the base as the user wrote it, not a path inside a pod."""
    folder.mkdir(parents=True)
    shutil.copyfile(adapter / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_bytes())
    config["base_model_name_or_path"] = base_name
    for name in ("target_modules", "modules_to_save"):
        if isinstance(config.get(name), list):  # PEFT writes sets, in another order each time
            config[name] = sorted(set(config[name]))
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))

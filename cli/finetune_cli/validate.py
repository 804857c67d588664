"""kubectl finetune validate: the checks of the prepare stage on a dataset, or on a FineTuneJob and its dataset."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from finetune_api.exit_codes import ExitCode
from finetune_api.resources.finetune_job import TaskName
from finetune_api.resources.source import RowFormat
from finetune_api.run_config import RunConfig
from finetune_cli.problems import Unusable, UnusableManifest
from finetune_cli.report_text import lines_of
from finetune_cli.run_configs import of_manifest, of_rows, unreachable

USAGE_ERROR = 2
HELP = """validates a dataset as the prepare stage does

FILE holds rows (JSONL, JSON, CSV, Parquet or Arrow, also .gz and .zst), or is the manifest of a FineTuneJob (.yaml).
Exit code: 0 valid, 2 wrong options, 3 invalid, 4 the training does not fit into memory, 47 a source did not respond."""


def add_to(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "validate", help="check a dataset or a FineTuneJob", description=HELP, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.set_defaults(run=run)
    parser.add_argument("file", type=Path, metavar="FILE")
    known = f"{', '.join(get_args(TaskName))}, or one of an installed package"
    parser.add_argument("--task", default="chat", help=f"task of the rows: {known} (default: chat, or the manifest's)")
    parser.add_argument("--model", metavar="DIR", help="folder of the base model (config and tokenizer), to count tokens")
    parser.add_argument("--data", type=Path, metavar="FILE", help="read the training rows of a manifest from this file")
    parser.add_argument("--validation", type=Path, metavar="FILE", help="validation rows (default: a tenth of FILE)")
    parser.add_argument("--loss", type=Path, metavar="FILE", help="read the code of method.sft.customLoss of a manifest from this file")
    parser.add_argument("--format", choices=get_args(RowFormat), help="file format (default: detected from the content)")
    parser.add_argument(
        "--columns", action="append", default=[], metavar="NAME=COLUMN[,...]", help="column of the file to use for a field of the task"
    )
    parser.add_argument("--prompt", metavar="TEXT", help='template of the prompt: "Translate: {english}"; with --completion')
    parser.add_argument("--completion", metavar="TEXT", help='template of the completion: "{french}"')
    parser.add_argument("--slice", metavar="A:B", help='a part of the file: "0%%:80%%", "100:2000"')
    parser.add_argument("--max-invalid-fraction", type=float, default=0, metavar="X", help="fraction of invalid rows to drop")
    parser.add_argument("--max-sequence-length", type=int, metavar="N", help="tokens per example (default: from the data)")
    parser.add_argument("--output", "-o", choices=("text", "json"), default="text", help="json: report.json on standard output")


def run(chosen: argparse.Namespace) -> int:
    """Prints the report and returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="finetune-") as workspace:
        try:
            config = run_config(chosen, workspace)
        except UnusableManifest as exc:
            print(*exc.problems, sep="\n", file=sys.stderr)
            return ExitCode.INVALID_INPUT
        except Unusable as exc:
            print(exc, file=sys.stderr)
            return USAGE_ERROR
        except ValidationError as exc:
            print(wrong_argument(exc), file=sys.stderr)
            return USAGE_ERROR
        if config is None:
            return ExitCode.OK
        from finetune_cli.dataset import report_on  # pyarrow and tokenizers: after what fails without them

        report, failure = report_on(config, with_model=chosen.model is not None)
    if chosen.output == "json":
        print(report.to_json(indent=2))
    elif failure is None:
        print(*lines_of(report), "valid", sep="\n")
    if failure is not None:
        print(f"{failure.error.code}: {failure.error.message}", *failure.error.details, sep="\n  ", file=sys.stderr)
        return failure.exit_code
    return ExitCode.OK


def wrong_argument(exc: ValidationError) -> str:
    """Which option, what is expected, what it is."""
    first = exc.errors()[0]
    option = f"--{str(first['loc'][-1]).replace('_', '-')}" if first["loc"] else "arguments"
    expected = 'expected A:B, such as "0%:80%" or "100:2000"' if option == "--slice" else first["msg"]
    return f"{option}: {expected} (it is {first['input']!r})"


def run_config(chosen: argparse.Namespace, workspace: str) -> RunConfig | None:
    """What is to be examined; None for a manifest that is right and whose data is not at hand."""
    if chosen.file.suffix not in (".yaml", ".yml"):  # rows are never YAML
        return of_rows(chosen, workspace)
    from finetune_cli.manifest import read_manifest  # a YAML reader and CEL, which rows do not wait for

    manifest = read_manifest(chosen.file)
    print(f"{chosen.file}: the fields of FineTuneJob {manifest.name} are valid", file=sys.stderr)
    environment = dict(os.environ)
    obstacles = unreachable(manifest.spec, chosen, environment)
    if obstacles and not (chosen.data or chosen.validation):
        print("the dataset was not checked:", *obstacles, sep="\n  ", file=sys.stderr)
        return None
    return of_manifest(chosen, manifest, workspace, environment)

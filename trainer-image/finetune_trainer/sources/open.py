"""Picks the scheme of a source."""

from collections.abc import Callable
from pathlib import Path

from finetune_api.run_config import RunSource
from finetune_trainer.sources.folder import Folder
from finetune_trainer.sources.local import LocalFolder, local_file, local_path
from finetune_trainer.sources.s3 import S3, S3Folder
from finetune_trainer.sources.subject import Subject


def fetch_file(
    source: RunSource, subject: Subject, target: Path, check_space: Callable[[int], None], on_bytes: Callable[[int], None]
) -> Path:
    """A file that can be opened: the source itself when it is local, else its download at `target`.

    `check_space` hears the bytes before they are downloaded. Raises StageFailure in the user's words.
    """
    if not is_s3(source, subject):
        return local_file(local_path(source.uri), subject)
    s3 = S3(source.uri, source.env_prefix, subject)
    size = s3.size(s3.key)
    if size is None:
        raise subject.not_found("there is no such object", s3.list(s3.key.rpartition("/")[0]))
    check_space(size)
    s3.download(s3.key, target, on_bytes)
    return target


def open_folder(source: RunSource, subject: Subject, below: str = "") -> Folder:
    """The folder that a source names, or the folder `below` it."""
    if is_s3(source, subject):
        return S3Folder(S3(f"{source.uri.rstrip('/')}/{below}", source.env_prefix, subject))
    return LocalFolder(local_path(source.uri) / below, subject)


def is_s3(source: RunSource, subject: Subject) -> bool:
    """True for s3://, False for local paths; raises StageFailure for any other scheme."""
    scheme, separator, _ = source.uri.partition("://")
    if separator and scheme not in ("s3", "file"):
        raise subject.unusable(f"the scheme {scheme}:// is not one of file:// and s3://")
    return bool(separator) and scheme == "s3"

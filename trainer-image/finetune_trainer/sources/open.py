"""Picks the scheme of a source."""

from collections.abc import Callable
from pathlib import Path

from finetune_api.run_config import RunNetwork, RunSource
from finetune_trainer.sources.folder import Folder
from finetune_trainer.sources.keys import Keys
from finetune_trainer.sources.local import LocalFolder, local_file, local_path
from finetune_trainer.sources.store import Store, StoreFolder
from finetune_trainer.sources.subject import Subject

WEB = ("http", "https")
SCHEMES = ("file", "s3", "gs", "abfs", "hf", *WEB)


def fetch_file(
    source: RunSource,
    subject: Subject,
    target: Path,
    check_space: Callable[[int], None],
    on_bytes: Callable[[int], None],
    network: RunNetwork | None = None,
) -> Path:
    """A file that can be opened: the source itself when it is local, else its download at `target`.

    `check_space` hears how many bytes are about to be downloaded; `network` is what the administrator lets web sources reach.
    Raises StageFailure in the user's words.
    """
    scheme = scheme_of(source, subject)
    if scheme == "file":
        return local_file(local_path(source.uri), subject)
    if scheme in WEB:
        from finetune_trainer.sources.web import fetch_web  # imports aiohttp, which a local job does not pay

        return fetch_web(source, network or RunNetwork(), subject, target, check_space, on_bytes)
    store = open_store(scheme, source.uri, source, subject, network)
    size = store.size(store.key) if store.key else None
    if size is None:
        raise store.missing()
    check_space(size)
    store.download(store.key, target, on_bytes)
    return target


def look_for(source: RunSource, subject: Subject, network: RunNetwork | None = None) -> None:
    """Raises StageFailure where a file is not there, before anything is downloaded. A web server is asked when the file is fetched."""
    scheme = scheme_of(source, subject)
    if scheme == "file":
        local_file(local_path(source.uri), subject)
    elif scheme not in WEB:
        store = open_store(scheme, source.uri, source, subject, network)
        if not store.key or store.size(store.key) is None:
            raise store.missing()


def open_folder(source: RunSource, subject: Subject, below: str = "", network: RunNetwork | None = None) -> Folder:
    """The folder that a source names, or the folder `below` it."""
    scheme = scheme_of(source, subject)
    if scheme == "file":
        return LocalFolder(local_path(source.uri) / below, subject)
    if scheme in WEB:
        raise subject.unusable("a model is a folder, which a web server cannot list: use a claim, an object store or hf://OWNER/NAME")
    return StoreFolder(open_store(scheme, f"{source.uri.rstrip('/')}/{below}".rstrip("/"), source, subject, network))


def open_store(scheme: str, uri: str, source: RunSource, subject: Subject, network: RunNetwork | None = None) -> Store:
    """The object store of a scheme. Each imports libraries that the others do not need."""
    from finetune_trainer.sources.guard import Guard  # imports aiohttp, which a local job does not pay

    keys, guard = Keys(source.env_prefix), Guard((network or RunNetwork()).allowed_private, subject)
    match scheme:
        case "s3":
            from finetune_trainer.sources.s3 import S3

            return S3(uri, keys, subject, guard)
        case "gs":
            from finetune_trainer.sources.gs import GoogleStorage

            return GoogleStorage(uri, keys, subject, guard)
        case "abfs":
            from finetune_trainer.sources.abfs import Azure

            return Azure(uri, keys, subject)
        case _:
            from finetune_trainer.sources.hf import Hub

            return Hub(uri, keys, subject, guard)


def scheme_of(source: RunSource, subject: Subject) -> str:
    """One of SCHEMES, "file" for a plain path; raises StageFailure for any other."""
    scheme, separator, _ = source.uri.partition("://")
    if not separator:
        return "file"
    if scheme not in SCHEMES:
        raise subject.unusable(f"the scheme {scheme}:// is not one of {', '.join(f'{known}://' for known in SCHEMES)}")
    return scheme

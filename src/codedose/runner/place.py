"""Where a store lies: a folder of this machine, or any URL that fsspec knows."""

from pathlib import Path

from codedose.errors import StudyError
from codedose.runner.secrets import USERINFO
from codedose.runner.store import Store


def open_store(url: str | Path) -> Store:
    """The store at a path, or at an fsspec URL such as s3://bucket/folder. Nothing is made or asked yet.

    Raises MachineError where the URL needs a package that is not here, StudyError for one that cannot be a store.
    """
    text = str(url)
    if USERINFO.search(text):
        raise StudyError("the store's URL holds a password; what opens it is taken from the environment only")
    if "://" not in text or text.startswith("file://"):
        from codedose.runner.disk import Disk

        return Disk(text.removeprefix("file://"))
    from codedose.runner.remote import Remote

    return Remote(text)


def is_url(text: str) -> bool:
    """Whether a command's argument names a store by URL."""
    return "://" in text

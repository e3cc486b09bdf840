"""An object store in a folder, for processes that come and go: `bucket:///place`. Objects appear whole, or not at all.

fsspec's own local file system writes in place, which no object store does, and its memory ends with a process.
"""

import os
import secrets
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

BROKEN = ("pipe_file", "put_file", "cat_file", "get_file", "info", "ls", "find", "rm_file")


class Bucket(LocalFileSystem):
    """Puts and exclusive creates as S3 has them, on top of a folder."""

    protocol = "bucket"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return str(path).removeprefix("bucket://").rstrip("/")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **named: Any) -> None:
        path = self._strip_protocol(path)
        half = half_of(path)
        half.write_bytes(value)
        try:
            if mode == "create":
                os.link(half, path)
            else:
                os.replace(half, path)
        finally:
            half.unlink(missing_ok=True)

    def put_file(self, lpath: str, rpath: str, callback: Any = None, **named: Any) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())

    def get_file(self, rpath: str, lpath: Any, callback: Any = None, **named: Any) -> None:
        Path(lpath).write_bytes(self.cat_file(rpath))

    def rm_file(self, path: str) -> None:
        """Remove an object, and the folders that it leaves empty: an object store has none."""
        place = Path(self._strip_protocol(path))
        place.unlink()
        try:
            for folder in place.parents:
                folder.rmdir()
        except OSError:
            return


def half_of(path: str) -> Path:
    """Where an object is written before it has its name: beside all objects, so that no listing shows it."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(f"{path.partition('/bucket/')[0]}/halves")
    aside.mkdir(exist_ok=True)
    return aside / secrets.token_hex(8)


fsspec.register_implementation("bucket", Bucket, clobber=True)

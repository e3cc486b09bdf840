"""What an unfinished step keeps for its next try, where the store is elsewhere: sent now and then, as a whole."""

import json
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from codedose.errors import DataError
from codedose.runner.objects import Objects

EVERY = 60.0  # seconds between two looks at what has changed
LIST = "kept.json"  # which object holds which file: written last, so that it never names half of something


class Scratch:
    """A folder of this machine, and its copy at `place` in the store."""

    def __init__(self, at: Objects, place: str, folder: Path) -> None:
        self.at, self.place, self.folder = at, place, folder
        self.sent: dict[str, dict[str, Any]] = {}

    def bring(self) -> None:
        """Make the folder what the store has of it. Nothing there, or not readable: what this machine has stays."""
        try:
            listed = json.loads(self.at.read(f"{self.place}/{LIST}") or b"{}")
            named = {str(name): {"object": str(kept["object"])} for name, kept in listed.items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        if named:
            shutil.rmtree(self.folder, ignore_errors=True)
        for name, kept in named.items():
            path = self.folder / name
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise DataError(f"{self.at.url}/{self.place}/{LIST}: names {name[:80]!r}, which lies outside of it")
            path.parent.mkdir(parents=True, exist_ok=True)
            self.at.get(f"{self.place}/{kept['object']}", path)

    @contextmanager
    def sending(self, *, in_the_end: bool = False) -> Iterator[None]:
        """Send what has changed every minute for as long as the context lasts, and after it.

        After one that went well only where `in_the_end` says so: what a step kept is of no use once it is done.
        """
        over = threading.Event()

        def send() -> None:
            while not over.wait(EVERY):
                with suppress(Exception):  # what cannot be sent now is sent with the next look
                    self.send()

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        wanted = True
        try:
            yield
            wanted = in_the_end
        finally:
            over.set()
            thread.join()
            if wanted:
                with suppress(Exception):  # the step's own error is what is to be told
                    self.send()

    def send(self) -> None:
        """Send what is new or changed, then the list; drop what it no longer names."""
        files = {path.relative_to(self.folder).as_posix(): path for path in self.folder.rglob("*") if path.is_file()}
        now: dict[str, dict[str, Any]] = {}
        for name, path in files.items():
            told = path.stat()
            state = [told.st_size, told.st_mtime_ns, told.st_ino]
            known = self.sent.get(name)
            if known and known["state"] == state:
                now[name] = known
            else:
                now[name] = {"object": secrets.token_hex(8), "state": state}
                self.at.send(path, f"{self.place}/{now[name]['object']}")
        if now != self.sent:
            self.at.write(f"{self.place}/{LIST}", json.dumps(now).encode())
            dropped = {kept["object"] for kept in self.sent.values()} - {kept["object"] for kept in now.values()}
            self.at.delete([f"{self.place}/{name}" for name in dropped])
            self.sent = now

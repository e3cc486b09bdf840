"""Calls of the operating system that break at a chosen place, once: what the harness of faults wraps.

Only calls are counted that the runner or the command line makes below one folder, or a step's body for them; a
place is the innermost such line. In a process that is wrapped, fsync counts and may break, but is not carried out:
a kill loses nothing that was written, and waiting for the disk would be most of a case's time.
"""

import builtins
import errno
import fcntl
import io
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import codedose

SOURCE = Path(codedose.__file__).parent
OURS = tuple(str(SOURCE / part) for part in ("runner", "cli"))
BODY = "toy_study.py"
REAL_OPEN, REAL_WRITE, REAL_STAT = io.open, os.write, os.stat

KILL, KILL_AFTER = "kill before", "kill after"
FULL, FAULTY = "disk full", "I/O error"
SHORT, SHORT_KILL = "short write", "short write, kill"
READING = (KILL, FAULTY)
CHANGING = (KILL, KILL_AFTER, FULL, FAULTY)
WRITING = (*CHANGING, SHORT, SHORT_KILL)
WAYS = {  # the kinds of call, and in which ways each may break
    "read": READING,
    "list": READING,
    "stat": READING,
    "lock": READING,
    "open": READING,
    "create": CHANGING,
    "mkdir": CHANGING,
    "rename": CHANGING,
    "link": CHANGING,
    "fsync": CHANGING,
    "remove": (KILL, KILL_AFTER, FAULTY),
    "write": WRITING,
}
CODES = {FULL: errno.ENOSPC, FAULTY: errno.EIO, SHORT: errno.ENOSPC}
CALLS = {
    "stat": (os, ("stat", "lstat")),
    "list": (os, ("scandir", "listdir")),
    "mkdir": (os, ("mkdir",)),
    "rename": (os, ("replace", "rename")),
    "link": (os, ("link", "symlink")),
    "fsync": (os, ("fsync", "fdatasync")),
    "remove": (os, ("unlink", "remove", "rmdir")),
    "lock": (fcntl, ("flock",)),
}


@dataclass(frozen=True)
class Fault:
    """The `turn`-th call of a kind at a place breaks, in one of the WAYS of its kind."""

    place: str
    kind: str
    turn: int
    way: str


class Calls:
    """The calls of one process below `root`: counted by (place, kind); one of them may break. `tell` hears of it."""

    def __init__(self, root: Path, fault: Fault | None, tell: Callable[[], None], *, whole_tree: bool) -> None:
        self.root, self.fault, self.tell, self.whole_tree = f"{root}{os.sep}", fault, tell, whole_tree
        self.counted: Counter[tuple[str, str]] = Counter()
        self.lock, self.inside = threading.Lock(), threading.local()

    def install(self) -> "Calls":
        """Wrap the calls of this process, for the rest of its life."""
        for kind, (module, names) in CALLS.items():
            for name in names:
                setattr(module, name, self.wrapped(kind, getattr(module, name)))
        os.open, os.write = self.wrapped("", os.open), self.wrapped("write", os.write)
        os.sendfile = self.wrapped("write", os.sendfile)
        io.open = builtins.open = self.open  # type: ignore[assignment]
        return self

    def wrapped(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def through(*args: Any, **more: Any) -> Any:
            doing = partial(call, *args, **more)
            if kind == "fsync":
                return self.through("fsync", lambda: None)
            if not self.is_below(args[0] if args else "."):
                return doing()
            half = partial(call, args[0], args[1][: len(args[1]) // 2]) if call is REAL_WRITE else None
            return self.through(kind or as_kind(args[1]), doing, half)

        for known in (os.supports_fd, os.supports_dir_fd, os.supports_follow_symlinks):
            if call in known:  # shutil asks before it calls
                known.add(through)
        return through

    def open(self, file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        """As the built-in; reads and writes of what it returns are counted too."""
        if isinstance(file, int) or not self.is_below(file) or place_of() is None:
            return REAL_OPEN(file, mode, *args, **more)
        kind = "open" if mode.strip("bt") == "r" else "create"
        return Watched(self.through(kind, partial(REAL_OPEN, file, mode, *args, **more)), self)

    def is_below(self, path: Any) -> bool:
        """Whether a path lies in the folder that is watched; what is named by a number belongs to one that does."""
        if isinstance(path, Watched):
            return True
        if isinstance(path, int):
            return path > 2 and os.path.isabs(name := os.readlink(f"/proc/self/fd/{path}")) and self.holds(name)
        name = os.fsdecode(path)
        return self.holds(name) or not os.path.isabs(name)  # only rmtree gives relative names

    def holds(self, name: str) -> bool:
        return f"{name}/".startswith(self.root)

    def through(self, kind: str, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """The call, or what its fault makes of it."""
        place = place_of()
        if place is None or getattr(self.inside, "busy", False):
            return call()
        with self.lock:
            self.counted[place, kind] += 1
            found = Fault(place, kind, self.counted[place, kind], self.fault.way if self.fault else "")
        if found != self.fault:
            return call()
        self.inside.busy = True
        try:
            return self.broken(found.way, call, half)
        finally:
            self.inside.busy = False

    def broken(self, way: str, call: Callable[[], Any], half: Callable[[], Any] | None) -> Any:
        self.tell()
        if way in (SHORT, SHORT_KILL) and half:
            half()
        if way == KILL_AFTER:
            with suppress(OSError):  # a call that would have failed by itself
                call()
        if way in CODES:
            raise OSError(CODES[way], os.strerror(CODES[way]))
        if self.whole_tree:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def place_of() -> str | None:
    """The innermost line of the runner, the command line or a step's body that waits for this call."""
    frame = sys._getframe(2)
    while frame:
        name = frame.f_code.co_filename
        if name.startswith(OURS):
            return f"{Path(name).stem}.{frame.f_code.co_qualname}:{frame.f_lineno}"
        if name.endswith(BODY):
            return "a step's body"
        frame = frame.f_back  # type: ignore[assignment]
    return None


def as_kind(flags: int) -> str:
    return "create" if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) else "open"


class Watched:
    """An open file whose reads and writes are counted and may break; half of a short write reaches the disk."""

    def __init__(self, file: Any, calls: Calls) -> None:
        self.file, self.calls = file, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *problem: object) -> None:
        self.file.close()

    def __iter__(self) -> Any:
        return iter(self.calls.through("read", self.file.readlines))

    def read(self, *args: Any) -> Any:
        return self.calls.through("read", partial(self.file.read, *args))

    def readinto(self, *args: Any) -> Any:
        return self.calls.through("read", partial(self.file.readinto, *args))

    def write(self, data: Any) -> Any:
        return self.calls.through("write", partial(self.put, data), partial(self.put, data[: len(data) // 2]))

    def put(self, data: Any) -> int:
        """Write at once, so that a kill right after it finds it on the disk."""
        written: int = self.file.write(data)
        self.file.flush()
        return written

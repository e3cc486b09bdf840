"""Calls of the operating system, and requests to an object store, that break at a chosen place, once.

Only calls are counted that the runner or the command line makes below one folder, or a step's body for them. A
place is the innermost such line and the function that called it. In a process that is wrapped, fsync counts and may
break, but is not carried out: a kill loses nothing that was written, and waiting for the disk would be most of a
case's time.
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

from bucket import Bucket

import codedose

SOURCE = Path(codedose.__file__).parent
OURS = tuple(str(SOURCE / part) for part in ("runner", "cli"))
ASKING = str(SOURCE / "runner" / "objects.py")  # every request passes through it: who asks it is the place
BODY, OWN = "toy_study.py", "faults.py"
REAL_OPEN, REAL_WRITE = io.open, os.write

KILL, KILL_AFTER = "kill before", "kill after"
FULL, FAULTY = "disk full", "I/O error"
SHORT, SHORT_KILL = "short write", "short write, kill"
LOST = "answer lost"  # a request that was carried out, and whose sender hears of an error
READING = (KILL, FAULTY)
CHANGING = (KILL, KILL_AFTER, FULL, FAULTY)
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
    "write": (*CHANGING, SHORT, SHORT_KILL),
    "request to read": READING,
    "request to list": READING,
    "request to write": (KILL, KILL_AFTER, FAULTY, LOST),
    "request to remove": (KILL, KILL_AFTER, FAULTY, LOST),
}
CODES = {FULL: errno.ENOSPC, FAULTY: errno.EIO, SHORT: errno.ENOSPC, LOST: errno.ECONNRESET}
CALLS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "stat": (os, ("stat", "lstat")),
    "list": (os, ("scandir", "listdir")),
    "mkdir": (os, ("mkdir",)),
    "rename": (os, ("replace", "rename")),
    "link": (os, ("link", "symlink")),
    "fsync": (os, ("fsync", "fdatasync")),
    "remove": (os, ("unlink", "remove", "rmdir")),
    "lock": (fcntl, ("flock",)),
    "write": (os, ("write", "sendfile")),
}
REQUESTS = {
    "request to read": ("cat_file", "get_file"),
    "request to list": ("info", "ls", "find"),
    "request to write": ("pipe_file", "put_file"),
    "request to remove": ("rm_file",),
}


@dataclass(frozen=True)
class Fault:
    """The `turn`-th call of a kind at a place breaks, in one of the WAYS of its kind."""

    place: str
    kind: str
    turn: int
    way: str


class Calls:
    """The calls of one process below `root`: counted by (place, kind); one of them may break.

    `fires` is asked when that call comes, and says whether it breaks in this process; `sees` hears of each new
    (place, kind). A kill hits this process, or the whole tree.
    """

    def __init__(
        self,
        root: Path,
        fault: Fault | None = None,
        *,
        fires: Callable[[], bool] = lambda: True,
        sees: Callable[[str, str], None] = lambda place, kind: None,
        whole_tree: bool = False,
    ) -> None:
        self.root, self.fault, self.fires, self.sees = f"{root}{os.sep}", fault, fires, sees
        self.whole_tree = whole_tree
        self.counted: Counter[tuple[str, str]] = Counter()
        self.lock, self.inside = threading.Lock(), threading.local()

    def install(self) -> "Calls":
        """Wrap the calls of this process, for the rest of its life."""
        for kind, (module, names) in CALLS.items():
            for name in names:
                setattr(module, name, self.wrapped(kind, getattr(module, name)))
        os.open = self.wrapped("", os.open)
        for kind, names in REQUESTS.items():
            for name in names:
                setattr(Bucket, name, self.asked(kind, getattr(Bucket, name)))
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

    def asked(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A request to an object store; what the store itself does for it is not ours to break."""

        def through(*args: Any, **more: Any) -> Any:
            return self.through(kind, lambda: self.apart(partial(call, *args, **more)))

        return through

    def apart(self, call: Callable[[], Any]) -> Any:
        """Make a call whose own calls neither count nor break."""
        before, self.inside.busy = self.is_busy, True
        try:
            return call()
        finally:
            self.inside.busy = before

    @property
    def is_busy(self) -> bool:
        return getattr(self.inside, "busy", False)

    def open(self, file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        """As the built-in; reads and writes of what it returns are counted too."""
        if isinstance(file, int) or self.is_busy or not self.is_below(file) or place_of() is None:
            return REAL_OPEN(file, mode, *args, **more)
        kind = "open" if mode.strip("bt") == "r" else "create"
        return Watched(self.through(kind, partial(REAL_OPEN, file, mode, *args, **more)), self)

    def is_below(self, path: Any) -> bool:
        """Whether a path lies in the folder that is watched."""
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
        place = None if self.is_busy else place_of()
        if place is None:
            return call()
        with self.lock:
            self.counted[place, kind] += 1
            turn = self.counted[place, kind]
        if turn == 1:
            self.apart(lambda: self.sees(place, kind))
        found = self.fault and Fault(place, kind, turn, self.fault.way)
        if not found or found != self.fault or not self.apart(self.fires):
            return call()
        return self.broken(found.way, call, half)

    def broken(self, way: str, call: Callable[[], Any], half: Callable[[], Any] | None) -> Any:
        if way in (SHORT, SHORT_KILL) and half:
            half()
        if way in (KILL_AFTER, LOST):
            with suppress(OSError):  # a call that would have failed by itself
                call()
        if way in CODES:
            raise OSError(CODES[way], os.strerror(CODES[way]))
        if self.whole_tree:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def place_of() -> str | None:
    """The innermost line of the runner, the command line or a step's body that waits for this call, and its caller."""
    frame, inner = sys._getframe(2), ""
    while frame:
        code = frame.f_code
        name = code.co_filename
        if not inner and name.endswith(BODY):
            return "a step's body"
        if name.startswith(OURS) and (inner or name != ASKING):
            if inner:
                return f"{inner} < {Path(name).stem}.{code.co_qualname}"
            inner = f"{Path(name).stem}.{code.co_qualname}:{frame.f_lineno}"
        elif inner and name.endswith((BODY, OWN)):
            return inner
        frame = frame.f_back  # type: ignore[assignment]
    return inner or None


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

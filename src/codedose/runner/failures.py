"""An exception flows in; which class of failure it is, what to say of it, and what a person can do flow out.

transient      the network, a disk or a machine: tried again after a while
memory         there was too little: tried again with less at once, where that changes nothing of what is written
data           a file or table that is not what it should be
configuration  the study or this machine: a setting, a missing package, a right, a full disk
bug            everything else

Libraries that are not imported here are known by the names of their classes.
"""

import errno
import re
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from codedose.errors import CodedoseError, DataError, Killed, OutOfMemory
from codedose.keys import seed_for
from codedose.runner.secrets import redact

Class = Literal["transient", "memory", "data", "configuration", "bug"]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE})
PASSING = frozenset(
    {
        errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENETDOWN,
        errno.ENETUNREACH, errno.ENETRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTDOWN,
        errno.EHOSTUNREACH, errno.EPIPE, errno.ENOTCONN,
    }
)  # fmt: skip
# torch's and Ray's class have the same name; torch has only words for CPUs, and for what its libraries ask of a GPU.
MEMORY_NAMES = frozenset({"MemoryError", "OutOfMemoryError"})
MEMORY_WORDS = (
    "can't allocate memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
PASSING_NAMES = frozenset(
    {
        "ConnectionError", "TimeoutError", "gaierror", "URLError", "IncompleteRead", "RemoteDisconnected",
        "NetworkError", "TimeoutException", "RemoteProtocolError",  # httpx
        "Timeout", "ChunkedEncodingError",  # requests
        "ClientConnectionError", "ClientPayloadError", "ServerDisconnectedError",  # aiohttp
        "ProtocolError", "MaxRetryError",  # urllib3
        "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError",  # botocore
        "WorkerCrashedError", "NodeDiedError", "ActorDiedError", "ActorUnavailableError", "LocalRayletDiedError",
        "ObjectLostError", "RpcError", "TaskPlacementGroupRemoved",  # Ray
    }
)  # fmt: skip
RUST = re.compile(r"\(os error (\d{1,5})\)")  # how libraries in Rust tell the number
DEEP = 8  # causes behind an exception that are looked at
MOST = 2000  # characters of a reason
AGAIN = "then run the same command again"
MENDS: dict[Class, str] = {
    "transient": f"look at the network, the disk or the machine that it names, {AGAIN}",
    "memory": f"close other programs, let fewer steps run at once (--cores, --gpus) or choose a smaller backbone, "
    f"{AGAIN}",
    "data": f"mend the data that it names, {AGAIN}",
    "configuration": f"mend the study or this machine as it says, {AGAIN}",
    "bug": "this is a fault of codedose or of a package it uses: report it with its log and what `codedose doctor` "
    "says; the same command tries it again",
}
NAMES: dict[Class, str] = {
    "transient": "transient",
    "memory": "out of memory",
    "data": "data",
    "configuration": "configuration",
    "bug": "bug",
}


class StepFailed(Exception):
    """Raised by an engine for a step that failed in another process: why, its class, the last lines of its log.

    `killed` where the process was ended by SIGKILL, which is how a system takes memory back.
    """

    def __init__(self, reason: str, log: Sequence[str] = (), kind: Class = "bug", killed: bool = False) -> None:
        super().__init__(reason, tuple(log), kind, killed)  # all of it, so that it can be sent
        self.reason, self.log, self.kind, self.killed = reason, tuple(log), kind, killed

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Patience:
    """How often a step with a transient failure is tried, and the seconds between: `factor` times as long each time."""

    tries: int = 4
    first: float = 1.0
    factor: float = 4.0
    most: float = 60.0

    def pause(self, name: str, tries: int) -> float:
        """Seconds after the failure of this try, from 1: half of them sure, half by chance that belongs to the name.

        So steps that failed at the same moment do not come back at the same moment.
        """
        whole = min(self.most, self.first * self.factor ** (tries - 1))
        return whole * (1 + seed_for("pause", name, tries) / 2**32) / 2


def class_of(problem: BaseException) -> Class:
    """The class of a failure. What stands in its words decides only where a library says it in no other way."""
    if isinstance(problem, StepFailed):
        return problem.kind
    if isinstance(problem, OutOfMemory | Killed):
        return "memory" if isinstance(problem, OutOfMemory) else "transient"
    causes = list(behind(problem))
    numbers = {number_of(cause) for cause in causes}
    if numbers & FULL:
        return "configuration"
    if not isinstance(problem, DataError) and any(map(is_memory, causes)):  # a file may claim to be of any size
        return "memory"
    if any(map(is_passing, causes)):
        return "transient"
    if isinstance(problem, DataError):
        return "data"
    statuses = [status_of(cause) or 0 for cause in causes]
    is_refused = bool(numbers & FORBIDDEN) or any(400 <= status < 500 for status in statuses)
    return "configuration" if isinstance(problem, CodedoseError) or is_refused else "bug"


def is_killed(problem: BaseException) -> bool:
    """Whether a process was killed from outside: of a step that meets this twice memory is the likeliest reason."""
    return problem.killed if isinstance(problem, StepFailed) else isinstance(problem, Killed)


def behind(problem: BaseException) -> Iterator[BaseException]:
    """An exception and its causes, each once."""
    seen: list[BaseException] = []
    cause: BaseException | None = problem
    while cause is not None and not any(cause is other for other in seen) and len(seen) < DEEP:
        seen.append(cause)
        yield cause
        cause = cause.__cause__


def is_memory(problem: BaseException) -> bool:
    if names_of(problem) & MEMORY_NAMES or number_of(problem) == errno.ENOMEM:
        return True
    return isinstance(problem, RuntimeError) and any(words in said(problem) for words in MEMORY_WORDS)


def is_passing(problem: BaseException) -> bool:
    status = status_of(problem)
    if status is not None:
        return status in (408, 429) or 500 <= status < 600
    if isinstance(problem, CodedoseError):
        return False
    return number_of(problem) in PASSING or bool(names_of(problem) & PASSING_NAMES)


def names_of(problem: BaseException) -> frozenset[str]:
    return frozenset(each.__name__ for each in type(problem).__mro__)


def number_of(problem: BaseException) -> int | None:
    """The system's number of an error; of libraries in Rust from their words. What a person is told has none."""
    if isinstance(problem, OSError) and type(number := given(problem, "errno")) is int:
        return number
    found = None if isinstance(problem, CodedoseError) else RUST.search(said(problem))
    return int(found[1]) if found else None


def status_of(problem: BaseException) -> int | None:
    """The HTTP status that an exception carries, as urllib, requests, httpx, aiohttp and botocore put it there."""
    response = given(problem, "response")
    found = [given(problem, "code"), given(problem, "status"), given(response, "status_code")]
    if isinstance(response, dict):
        found.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    return next((status for status in found if type(status) is int and 100 <= status < 600), None)


def given(thing: object, name: str) -> object:
    """An attribute of an object of a stranger's class; None where it has none or raises."""
    with suppress(Exception):
        return getattr(thing, name, None)
    return None


def said(problem: BaseException, secrets: Collection[str] = ()) -> str:
    """What an exception says, in signs that print and at most so many; its class where it says nothing or cannot.

    Secrets are taken out before it is cut: half of one would be found by nobody.
    """
    text = ""
    with suppress(Exception):
        text = redact(str(problem), secrets)
    printed = "".join(c if c.isprintable() or c == "\n" else " " for c in text[:MOST]).strip()
    return f"{printed} ..." if len(text) > MOST else printed or type(problem).__name__[:MOST]


def reason_of(problem: BaseException, secrets: Collection[str] = ()) -> str:
    """An exception as one sentence, with its mend where the runner knows one, and without `secrets` (secret_values)."""
    if {number_of(cause) for cause in behind(problem)} & FULL:
        return f"the disk is full ({said(problem, secrets)}): free some space ('codedose gc --now' helps), {AGAIN}"
    if class_of(problem) == "memory" and not isinstance(problem, CodedoseError):
        return f"out of memory ({said(problem, secrets)})"
    return said(problem, secrets)


def mend_of(kind: Class, own: str = "") -> str:
    """What a person can do about a failure, in one sentence; `own` is what a step says of its memory."""
    return f"{own}, {AGAIN}" if own and kind == "memory" else MENDS[kind]


def death(code: int | None) -> StepFailed:
    """What became of a process that ended without a word."""
    if code is None or code >= 0:
        return StepFailed(f"its process ended by itself with exit code {code}")
    killed = -code == signal.SIGKILL
    hint = " (often the system's answer to too little memory)" if killed else ""
    return StepFailed(f"its process was killed by {signal_name(-code)}{hint}", kind="transient", killed=killed)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

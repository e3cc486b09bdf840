"""A Ray cluster's address -> whether it lets in whoever asks.

Ray's own library is not needed: the one question is a gRPC message without a token, put into HTTP/2 frames by hand
(RFC 9113, 7541). A cluster with token authentication (Ray 2.52 or newer) answers it with a status only.
"""

import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

LIMIT = 2.0  # seconds for one cluster
PORT, CLIENT_PORT = 6379, 10001  # where `ray start --head` listens, and where ray:// is answered
QUESTIONS = ("/ray.rpc.NodeInfoGcsService/CheckAlive", "/ray.rpc.RayletDriver/ClusterInfo")  # the second for ray://
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4  # kinds of frames
END_STREAM, END_HEADERS = 1, 4  # flags
STATUS = b"grpc-status"
UNAUTHENTICATED = (b"grpc-status\x0216", b"InvalidAuthToken", b"authentication token")
UNKNOWN = b"grpc-status\x0212"  # what a gRPC server that is no Ray says to the question
LARGEST = 1 << 20  # bytes that are read of whatever answers


def clusters(environ: Mapping[str, str]) -> list[str]:
    """The addresses of the Ray clusters that RAY_ADDRESS names, or that run on this machine; each once."""
    named = environ.get("RAY_ADDRESS", "")
    found = [] if named in ("", "auto", "local") else [named]
    note = Path(environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"  # noqa: S108 - Ray's own place
    if note.is_file():
        found.append(note.read_text(errors="replace")[:300].strip())
    return list(dict.fromkeys([*found, *running()]))


def running(processes: Path = Path("/proc")) -> list[str]:
    """The addresses of the clusters that run on this machine, by the words that they were started with (Linux).

    A node names its cluster's address, the head its port, or 0 where it was to choose one.
    """
    found = []
    for file in processes.glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        said = dict(word.lstrip("-").split("=", 1) for word in words if "=" in word)
        if words[0].endswith("/raylet") and "gcs-address" in said:
            found.append(said["gcs-address"])
        if words[0].endswith("/gcs_server") and (port := said.get("gcs_server_port", str(PORT))) != "0":
            found.append(f"{said.get('node-ip-address', '127.0.0.1')}:{port}")
    return sorted(set(found))


def place_of(address: str) -> tuple[str, int, str] | None:
    """Host, port and question of an address as Ray takes it; None for one that is none."""
    is_client = address.startswith("ray://")
    host, _, port = address.removeprefix("ray://").partition("/")[0].rpartition(":")
    if not host:
        host, port = port, ""
    if not port:
        port = str(CLIENT_PORT if is_client else PORT)
    host = host.strip("[]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        return None
    return host, int(port), QUESTIONS[is_client]


def lets_in(address: str, limit: float = LIMIT) -> bool | None:
    """Whether a Ray cluster answers without a token; None where nothing that speaks gRPC answers in `limit` seconds."""
    place = place_of(address)
    if place is None:
        return None
    try:
        for kind, told in answers(*place, end=time.monotonic() + limit):
            if kind == DATA:
                return True
            if kind == HEADERS and any(sign in told for sign in UNAUTHENTICATED):
                return False
            if kind == HEADERS and STATUS in told and UNKNOWN not in told:
                return True  # it took the question, and only an empty one is no question to ray://
    except (OSError, UnicodeError):  # not there, or no name of a machine
        return None
    return None


def answers(host: str, port: int, question: str, *, end: float) -> Iterator[tuple[int, bytes]]:
    """Ask one question; the kinds and contents of the frames that answer it, until time or bytes are used up."""
    with socket.create_connection((host, port), timeout=max(end - time.monotonic(), 0.01)) as line:
        line.sendall(asked(question))
        held, taken = b"", 0
        while taken < LARGEST and (left := end - time.monotonic()) > 0:
            line.settimeout(left)
            piece = line.recv(65536)
            if not piece:
                return
            taken += len(piece)
            held += piece
            while len(held) >= 9 and len(held) >= (whole := 9 + int.from_bytes(held[:3], "big")):
                if int.from_bytes(held[5:9], "big") == 1:
                    yield held[3], held[9:whole]
                held = held[whole:]


def asked(question: str) -> bytes:
    """The bytes of an empty gRPC message to `question`, without a token."""
    said = {":method": "POST", ":scheme": "http", ":path": question, ":authority": "ray", "te": "trailers"}
    fields = b"".join(map(field, (*said, "content-type"), (*said.values(), "application/grpc")))
    empty = b"\0" + struct.pack(">I", 0)
    return PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, fields) + frame(DATA, END_STREAM, 1, empty)


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


def field(name: str, value: str) -> bytes:
    """A header as it is, without index or Huffman code; both are shorter than 127 bytes."""
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))


def found_clusters(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each Ray cluster at hand: its address, and whether it asks for a token, with the mend where it does not."""
    told = {
        True: "WARNING: it lets in whoever reaches it, and what they send is run; stop it (ray stop) and start it with "
        "RAY_AUTH_MODE=token and a token (ray get-auth-token --generate)",
        False: "it asks for a token",
        None: f"no Ray cluster answers there within {LIMIT:g} seconds",
    }
    return [(address, told[lets_in(address)]) for address in clusters(environ)]

"""An S3 server on this machine (moto's), and a gate before it that can refuse, fall silent, or lose an answer.

As a script it is the server: it prints its port and serves until its standard input closes.
"""

import http.client
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
BUCKET = "bucket"
METADATA = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "loopback", **METADATA}
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
CHANGES = ("PUT", "POST", "DELETE")
Rule = Callable[[str, str, Any], str]  # (method, path, headers) -> "pass", "lose", "hang", or a status such as "503"


def let_pass(method: str, path: str, headers: Any) -> str:
    return "pass"


class Gate:
    """A port that leads to the server, as its rule says for each request."""

    def __init__(self, server: int) -> None:
        self.server, self.rule = server, let_pass
        self.seen: list[tuple[str, str]] = []  # method and path of each request
        self.freed = threading.Event()  # ends the silence of "hang"
        self.open(0)

    def open(self, port: int) -> None:
        self.http = ThreadingHTTPServer((HOST, port), handler_of(self))
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.freed.set()
        self.http.shutdown()
        self.http.server_close()

    @contextmanager
    def ruled(self, rule: Rule) -> Iterator[None]:
        """Another rule, for as long as the context lasts; who hangs then is cut off."""
        self.rule, self.freed = rule, threading.Event()
        try:
            yield
        finally:
            self.rule = let_pass
            self.freed.set()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens at the port, for as long as the context lasts."""
        self.close()
        try:
            yield
        finally:
            self.open(self.port)


def handler_of(gate: Gate) -> type[BaseHTTPRequestHandler]:
    """A request at the gate: answered by the server, or as the gate's rule says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # for Expect: 100-continue

        def answer(self) -> None:
            self.close_connection = True
            gate.seen.append((self.command, self.path))
            what, freed = gate.rule(self.command, self.path, self.headers), gate.freed
            if what == "hang":
                freed.wait()
            elif what in ("pass", "lose"):
                reply = self.asked()
                if what == "pass":
                    self.tell(*reply)
            else:
                self.tell(int(what), {"Content-Type": "application/xml"}, SLOW_DOWN if what == "503" else b"")

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        def handle_expect_100(self) -> bool:  # silence means silence
            hangs = gate.rule(self.command, self.path, self.headers) == "hang"
            return True if hangs else super().handle_expect_100()

        def asked(self) -> tuple[int, Any, bytes]:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server = http.client.HTTPConnection(HOST, gate.server)
            server.request(self.command, self.path, body, dict(self.headers))
            reply = server.getresponse()
            return reply.status, reply.headers, reply.read()

        def tell(self, status: int, headers: Any, body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name not in ("Connection", "Transfer-Encoding", "Content-Length"):
                    self.send_header(name, value)
            length = headers.get("Content-Length") if self.command == "HEAD" else len(body)
            self.send_header("Content-Length", str(length or 0))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        def log_message(self, *words: object) -> None:
            """Nobody listens."""

    return Handler


@contextmanager
def served() -> Iterator[int]:
    """moto's S3 server in a process of its own, with one bucket; its port."""
    with subprocess.Popen(
        [sys.executable, Path(__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            port = int(process.stdout.readline())
            made = http.client.HTTPConnection(HOST, port)
            made.request("PUT", f"/{BUCKET}")
            assert made.getresponse().status == 200
            yield port
        finally:
            process.kill()


def one_at_a_time(app: Callable[..., Any]) -> Callable[..., Any]:
    """`app` with one change at a time: of conditional writes S3 lets one win, where moto looks and then writes."""
    lock = threading.Lock()

    def serve(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] not in CHANGES:
            return app(environ, start)
        with lock:
            return app(environ, start)

    return serve


def main() -> None:
    import logging

    from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = one_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server(HOST, 0, app, threaded=True, request_handler=MotoRequestHandler)
    print(server.port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # its parent holds the other end


if __name__ == "__main__":
    main()

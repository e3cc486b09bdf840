"""One message to an OpenAI-compatible endpoint -> its reply, with patience for what passes and none for what does not.

The client is httpx2, which huggingface_hub brings: it has timeouts, TLS and proxies, and follows no
redirect unless told to. The key goes into one header and nowhere else; what a server says is scrubbed
of it before anyone sees it.
"""

import asyncio
import json
import logging
import math
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from codedose.errors import CodedoseError, MachineError, StudyError
from codedose.study import Endpoint

if TYPE_CHECKING:
    import httpx2

KEY = "CODEDOSE_LLM_KEY"
LARGEST_REPLY = 1_000_000  # bytes; a word and its usage take one thousand
REPLY_TOKENS = 16  # enough for {"label": "coding"} by any tokenizer
LOOPBACK = ("127.0.0.1", "::1", "localhost")

STOPS_AT_ONCE: Mapping[int, str] = {
    401: f"does not accept the key: put a valid one into the environment variable {KEY}",
    402: "asks for payment: the account behind the key has no credit",
    403: f"forbids this: the key in the environment variable {KEY} has no right to the model",
    404: "knows no such model, or has no chat/completions at this address: check label.llm.url and label.llm.model",
    405: "takes no chat/completions at this address: check label.llm.url",
}
PASSES = (408, 409, 425, 429)  # and everything from 500


@dataclass(frozen=True)
class Patience:
    """How long is waited, in seconds: none of it changes a label."""

    tries: int = 6
    first_wait: float = 1.0  # doubled at every try, and a random part of it waited
    longest_wait: float = 60.0
    longest_pause: float = 900.0  # an endpoint that asks for more is left for later
    deadline: float = 120.0  # of one request, however slowly its bytes come


@dataclass(frozen=True)
class Reply:
    """What the endpoint said, and the tokens that it counted (None where it counted none)."""

    text: str
    tokens_in: int | None
    tokens_out: int | None


class Turned(Exception):
    """The endpoint gives no reply to this one message; the text says why. Other messages may still get one."""


class Silent(Turned):
    """The endpoint failed at every try with this message; it may be down."""


class Passing(Exception):
    """A failure that may have passed at the next try, and the seconds that the endpoint asked to wait."""

    def __init__(self, said: str, pause: float = 0.0) -> None:
        super().__init__(said)
        self.pause = pause


class Pace:
    """When the next request may leave: evenly spaced, and none while the endpoint has asked for a pause."""

    def __init__(self, per_minute: int | None) -> None:
        self.gap = 60 / per_minute if per_minute else 0.0
        self.next = self.paused_until = 0.0
        self.closed = False  # no second tries any more: the run has stopped

    async def turn(self) -> None:
        now = time.monotonic()
        leaves = max(now, self.next)
        self.next = leaves + self.gap
        await asyncio.sleep(leaves - now)
        while (left := self.paused_until - time.monotonic()) > 0:
            await asyncio.sleep(left)

    def pause(self, seconds: float) -> None:
        self.paused_until = max(self.paused_until, time.monotonic() + seconds)


def key_from_environment() -> SecretStr | None:
    """The key in CODEDOSE_LLM_KEY, in a wrapping that no print, log or traceback looks into; None where there is none.

    Raises MachineError for one that cannot stand in a header.
    """
    key = os.environ.get(KEY, "").strip()
    if not key:
        return None
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise MachineError(f"the key in the environment variable {KEY} holds spaces or signs that no key has")
    return SecretStr(key)


def address(endpoint: Endpoint, key: SecretStr | None) -> str:
    """Where chat completions are asked. StudyError for anything but a plain http or https address."""
    secret = key.get_secret_value() if key else ""
    if secret and (secret in endpoint.url or secret in endpoint.model):
        raise StudyError(f"label.llm holds the key itself; it belongs into the environment variable {KEY} only")
    wrong = ""
    try:
        parts = urlsplit(endpoint.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            wrong = "is not an http or https address"
        elif parts.username is not None or parts.password is not None:
            raise StudyError(f"label.llm.url: a name or password stands in it; keys come from {KEY} only")
        elif parts.query or parts.fragment or any(c.isspace() or not c.isprintable() for c in endpoint.url):
            wrong = "holds more than an address"
    except ValueError:
        wrong = "is not an address"
    if wrong:
        raise StudyError(f"label.llm.url: {endpoint.url[:100]!r} {wrong}; write one such as http://127.0.0.1:8000/v1")
    return endpoint.url.rstrip("/") + "/chat/completions"


def client(endpoint: Endpoint, key: SecretStr | None) -> "httpx2.AsyncClient":
    """An HTTP client that follows no redirect, unpacks nothing, and leaves this machine only for a remote host."""
    import httpx2

    # Its debug lines show a server's headers, and a server may quote the key there.
    logging.getLogger("httpcore2").setLevel(logging.INFO)
    headers = {"Accept-Encoding": "identity", "User-Agent": "codedose"}
    if key:
        headers["Authorization"] = f"Bearer {key.get_secret_value()}"
    here = urlsplit(endpoint.url).hostname in LOOPBACK
    return httpx2.AsyncClient(
        headers=headers,
        follow_redirects=False,
        trust_env=not here,  # a proxy is for what is remote
        timeout=httpx2.Timeout(60.0, connect=10.0, pool=None),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
    )


@dataclass(frozen=True)
class Line:
    """An open line to one endpoint. Its parts keep the key out of every text: `scrub` takes it out of a server's."""

    http: "httpx2.AsyncClient"
    url: str
    endpoint: Endpoint
    key: SecretStr | None
    pace: Pace
    patience: Patience

    async def ask(self, message: str) -> Reply:
        """The reply to one message.

        Tries again after 429, 5xx, timeouts and garbage, with exponential waits of random length and no sooner than
        Retry-After says. Raises Turned when this message gets no reply, MachineError or StudyError when none would.
        """
        said, attempt = "", 0
        for attempt in range(self.patience.tries):
            await self.pace.turn()
            problem = await self.once(message)
            if isinstance(problem, Reply):
                return problem
            said = str(problem)
            if isinstance(problem, Turned | CodedoseError):
                raise problem
            if problem.pause > self.patience.longest_pause:
                raise MachineError(f"{self.url} asks to wait {problem.pause:,.0f} seconds ({said}); run again then")
            self.pace.pause(problem.pause)
            if self.pace.closed:
                break
            if attempt + 1 < self.patience.tries:
                longest = min(self.patience.longest_wait, self.patience.first_wait * 2**attempt)
                await asyncio.sleep(random.uniform(longest / 2, longest))
        raise Silent(f"{said}, {attempt + 1} times")

    async def once(self, message: str) -> Reply | Passing | Turned | CodedoseError:
        """One request. Failures come back as values, so that none drags along a request with its headers."""
        import httpx2

        body = {
            "model": self.endpoint.model,
            "messages": [{"role": "user", "content": message}],
            "temperature": 0,
            "max_tokens": REPLY_TOKENS,
            "stream": False,
        }
        try:
            async with asyncio.timeout(self.patience.deadline):
                async with self.http.stream("POST", self.url, json=body) as response:
                    told = await beginning(response)
                    return self.read(response.status_code, response.headers, told)
        except TimeoutError:
            return Passing(f"no whole reply within {self.patience.deadline:g} seconds")
        except httpx2.TimeoutException:
            return Passing("no reply in time")
        except httpx2.InvalidURL:
            return StudyError(f"label.llm.url: {self.url[:100]!r} is not an address")
        except httpx2.TransportError as problem:
            return Passing(f"no connection ({type(problem).__name__}: {self.scrub(str(problem))})")

    def read(self, status: int, headers: Mapping[str, str], told: bytes) -> Reply | Passing | Turned | CodedoseError:
        """What a response means: a reply, or which kind of failure."""
        if status == 200:
            return reply_of(told) or Passing("a reply that is not a chat completion")
        if status in STOPS_AT_ONCE:  # 401 and 403 often quote the key: their text is not passed on
            return MachineError(f"{self.url} ({status}) {STOPS_AT_ONCE[status]}")
        if 300 <= status < 400:
            elsewhere = self.scrub(headers.get("location", "elsewhere"))
            return StudyError(
                f"{self.url} sends us on to {elsewhere}, where the key does not go; if that is right, name it as "
                "label.llm.url"
            )
        why = f"{status}: {self.scrub(complaint(told))}"
        if status == 429 and "insufficient_quota" in why:
            return MachineError(f"{self.url} ({STOPS_AT_ONCE[402]}): {why}")
        if status in PASSES or status >= 500:
            return Passing(why, pause_of(headers.get("retry-after", "")))
        return Turned(why)

    def scrub(self, text: str) -> str:
        """A server's words, short, on one line, and without the key."""
        if self.key:
            text = text.replace(self.key.get_secret_value(), "[key]")
        return "".join(c if c.isprintable() else " " for c in text)[:200]


async def beginning(response: "httpx2.Response") -> bytes:
    """A response's bytes as they came, packed or not, up to the largest reply and one more."""
    told = bytearray()
    async for chunk in response.aiter_raw():
        told += chunk
        if len(told) > LARGEST_REPLY:
            break
    return bytes(told[: LARGEST_REPLY + 1])


def reply_of(told: bytes) -> Reply | None:
    """The reply in a chat completion; None when the bytes are something else."""
    if len(told) > LARGEST_REPLY:
        return None
    try:
        body = json.loads(told)
        text = body["choices"][0]["message"]["content"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    if text is not None and not isinstance(text, str):
        return None
    usage: Any = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Reply(text or "", counted(counts.get("prompt_tokens")), counted(counts.get("completion_tokens")))


def counted(value: object) -> int | None:
    """A number of tokens as a server states it, if that is one."""
    return value if type(value) is int and 0 <= value < 100_000_000 else None


def complaint(told: bytes) -> str:
    """What a server says is wrong: the message in its JSON, else the beginning of its text."""
    try:
        error = json.loads(told)["error"]
        text = f"{error.get('message')} {error.get('code') or ''}" if isinstance(error, dict) else str(error)
    except (ValueError, TypeError, LookupError, RecursionError):
        text = told[:2000].decode("utf-8", "replace")
    return text.strip()


def pause_of(retry_after: str) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date; 0 for anything else."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return max(seconds, 0.0) if not math.isnan(seconds) else 0.0

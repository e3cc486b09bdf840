"""Secrets in the environment: which variables hold one, which a step may see, and how they are taken out of text.

What looks like a secret reaches a step only where what the step is for (Step.secrets) lists it. What is then said,
logged or recorded is redacted of the values.
"""

import json
import mmap
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

HUB, TRACKERS, LABELLER, STORE = "hub", "trackers", "labeller", "store"  # what a step may need a secret for

# Words of a variable's name, between underscores, that say that its value is a secret.
WORDS = frozenset(
    "key keys apikey token secret secrets password passwords passwd passphrase pass pwd pw credential credentials "
    "creds auth authorization bearer cookie private pat dsn sas webhook netrc".split()
)
ENDINGS = ("key", "token", "secret", "password", "passwd", "credentials")  # of one word, such as GITHUBTOKEN
# Where the working folder is; where agents listen; how Ray's guard stands: none of them opens anything.
HARMLESS = frozenset({"PWD", "OLDPWD", "SSH_AUTH_SOCK", "RAY_AUTH_MODE", "HF_HUB_DISABLE_IMPLICIT_TOKEN"})
USERINFO = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^/\s@?#:]{0,500}:[^/\s@?#]{1,2000}@")
# What the values of well-known services begin with, whatever their variables are called.
SHAPES = re.compile(
    r"(?:hf_|sk-|[rs]k_(?:live|test)_|gh[oprsu]_|github_pat_|glpat-|xox[abprs]-|AKIA|ASIA|ya29\.|eyJ[\w-]{8,2000}\.eyJ)[\w./+=-]{12,}"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
)
SETTING = re.compile(r"(?:key|password|pwd|signature|secret|token)=([^;&\s\"']{6,})", re.IGNORECASE)  # in a value

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
ALLOWED: Mapping[str, tuple[str, ...]] = {
    HUB: ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT", *PROXIES),
    TRACKERS: ("WANDB_*", "MLFLOW_*", "DATABRICKS_*", "TRACKIO_*", *PROXIES),
    LABELLER: ("CODEDOSE_LLM_KEY", *PROXIES),
    STORE: (
        *("AWS_*", "S3_*", "FSSPEC_*", "BOTO_*", "GOOGLE_*", "GCS_*", "GCSFS_*", "CLOUDSDK_*", "STORAGE_EMULATOR_HOST"),
        *("AZURE_*", "R2_*", "MINIO_*", *PROXIES),
    ),
}

SHORTEST = 8  # characters of a value that is taken out of text: a shorter one stands in it by chance
HIDDEN = "[secret]"
PIECE = 1 << 20  # bytes of a log that are held at once


def is_secret(name: str, value: str) -> bool:
    """Whether a variable holds a secret: by its name, or because an address with a password or a token is its value."""
    if name in HARMLESS or not value:
        return False
    words = re.split(r"[^a-z0-9]+", name.lower())
    named = bool(WORDS.intersection(words)) or any(word.endswith(ENDINGS) for word in words)
    return named or any(sign.search(value) for sign in (USERINFO, SHAPES, SETTING))


def is_allowed(name: str, purposes: Iterable[str]) -> bool:
    """Whether a secret of this name is let through to a step with these purposes; every step opens the store."""
    for allowed in (each for purpose in {*purposes, STORE} for each in ALLOWED[purpose]):
        if name == allowed or (allowed.endswith("*") and name.startswith(allowed[:-1])):
            return True
    return False


def withheld(purposes: Iterable[str], environ: Mapping[str, str]) -> frozenset[str]:
    """The names of the secrets in `environ` that a step with these purposes must not see.

    Raises KeyError for a purpose that nobody knows.
    """
    known = tuple(purposes)
    return frozenset(name for name, value in environ.items() if is_secret(name, value) and not is_allowed(name, known))


@contextmanager
def confined(purposes: Iterable[str]) -> Iterator[None]:
    """This process's environment as a step with these purposes may see it; afterwards as it was.

    Of a process that performs several steps at once, or starts others meanwhile, it confines all of them.
    """
    hidden = {name: os.environ.pop(name) for name in withheld(purposes, os.environ)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def secret_values(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Every text that gives a secret of `environ` away, the longest first: as it is, as it is quoted, and in parts."""
    told = {part for name, value in environ.items() if is_secret(name, value) for part in parts_of(value)}
    written = {form for part in told for form in forms_of(part)}
    return tuple(sorted((form for form in written if len(form) >= SHORTEST), key=lambda form: (-len(form), form)))


def parts_of(value: str) -> set[str]:
    """A secret and what is secret in it: the lines of a key; of addresses with passwords, these."""
    found = {value, value.strip(), *SETTING.findall(value)}
    if not (addresses := USERINFO.findall(value)):
        return found.union(line.strip() for line in value.splitlines())
    passwords = {each.partition("://")[2].partition(":")[2].removesuffix("@") for each in addresses}
    return {*found, *addresses, *passwords, *map(unquote, passwords)}


def forms_of(secret: str) -> set[str]:
    """A secret as it is, and as Python, JSON and addresses write it."""
    return {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret), quote(secret, safe="")}


def redact(text: str, values: Collection[str]) -> str:
    """`text` with [secret] wherever one of `values` (secret_values) stands."""
    for value in values:
        if value in text:
            text = text.replace(value, HIDDEN)
    return text


def redacted(value: object, values: Collection[str]) -> object:
    """A JSON value with every text in it redacted, and its keys left as they are."""
    if isinstance(value, str):
        return redact(value, values)
    if isinstance(value, Mapping):
        return {key: redacted(inner, values) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner, values) for inner in value]
    return value


def scrub(log: Path, values: Collection[str]) -> None:
    """Redact a log; one without secrets is not touched. What its step still writes to it afterwards is lost."""
    named = [value.encode() for value in values]
    if not named or not log.is_file() or not holds(log, named):
        return
    draft = log.with_name(f".{log.name}.scrubbed")
    with draft.open("wb") as file:
        file.writelines(scrubbed(log, named))
    draft.replace(log)


def holds(log: Path, values: Collection[bytes]) -> bool:
    """Whether one of `values` stands in a file, however large it is."""
    with log.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return any(whole.find(value) >= 0 for value in values)


def scrubbed(log: Path, values: Collection[bytes]) -> Iterator[bytes]:
    """The bytes of a file with [secret] for every value; one that lies across two pieces is found too."""
    longest = max(map(len, values))
    left = b""
    with log.open("rb") as file:
        while piece := file.read(PIECE):
            left = without(left + piece, values)
            yield left[:-longest]
            left = left[-longest:]
    yield left


def without(text: bytes, values: Collection[bytes]) -> bytes:
    for value in values:
        text = text.replace(value, HIDDEN.encode())
    return text

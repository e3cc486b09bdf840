"""Who gets in: secrets reach only the steps that need them and stand nowhere afterwards."""

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loud import CANARY, Loud, canary, die, fail, seen
from tiny import FAMILIES, write_backbone
from toys import go

from codedose import stages
from codedose.errors import DataError
from codedose.plan import Planner
from codedose.runner.children import Children
from codedose.runner.failures import MOST, reason_of
from codedose.runner.guard import DATA, END_HEADERS, HEADERS, clusters, frame, lets_in, running
from codedose.runner.ray import Rays
from codedose.runner.secrets import (
    ALLOWED,
    HUB,
    LABELLER,
    PIECE,
    STORE,
    TRACKERS,
    confined,
    forms_of,
    is_secret,
    redact,
    scrub,
    secret_values,
    withheld,
)
from codedose.runner.step import Step
from codedose.study import load
from codedose.tune.means import Means

# Who may see which, as the services call them; nobody may see the rest.
KNOWN: dict[str, tuple[str, ...]] = {
    HUB: ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    TRACKERS: ("WANDB_API_KEY", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "DATABRICKS_TOKEN"),
    LABELLER: ("CODEDOSE_LLM_KEY",),
    STORE: ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "FSSPEC_S3_SECRET", "GOOGLE_API_KEY",
            "AZURE_STORAGE_KEY", "AZURE_CLIENT_SECRET"),
}  # fmt: skip
UNKNOWN = (
    "MY_COMPANY_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GITHUB_TOKEN", "GITHUBTOKEN", "PGPASSWORD",
    "DB_PASS", "SLACK_WEBHOOK", "SENTRY_DSN", "DOCKER_AUTH_CONFIG", "RAY_AUTH_TOKEN", "ssh_passphrase",
    "Session-Cookie", "KUBE_CREDENTIALS", "NETRC", "X_CREDS", "JIRA_PAT", "BLOB_SAS",
)  # fmt: skip
BY_VALUE = {
    "DATABASE_URL": f"postgres://me:{canary('DATABASE_URL')}@db.example:5432/x",
    "PIP_INDEX_URL": f"https://me:{canary('PIP')}%21@pypi.example/simple",
    "LAB_NOTE": f"hf_{canary('NOTE').replace('-', '')}",
    "BLOB_CONNECTION": f"AccountName=x;AccountKey={canary('BLOB')}==;EndpointSuffix=core.example",
    "DEPLOY": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{canary('PEM')}\n{canary('PEM2')}\n-----END",
}
SECRETS = {
    **{name: canary(name) for name in (*UNKNOWN, *(name for names in KNOWN.values() for name in names))},
    **BY_VALUE,
    "MLFLOW_TRACKING_URI": f"https://me:{canary('MLFLOW')}@tracking.example",
    "https_proxy": f"http://me:{canary('PROXY')}@proxy.example:3128",
}
NO_SECRETS = {
    "PATH": "/usr/bin:/bin", "HOME": "/root", "PWD": "/work", "OLDPWD": "/", "LANG": "C.UTF-8", "TERM": "xterm",
    "TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "2048", "HF_HUB_OFFLINE": "1", "HF_HOME": "/cache",
    "CODEDOSE_CACHE": "/cache", "OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0", "WANDB_MODE": "offline",
    "SSH_AUTH_SOCK": "/run/agent", "RAY_ADDRESS": "127.0.0.1:6379", "RAY_AUTH_MODE": "token",
    "HTTP_PROXY": "http://proxy.example:3128", "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "PYTHONPATH": "src", "EMPTY_KEY": "",
}  # fmt: skip
EVERYTHING = {**NO_SECRETS, **SECRETS}


# Which variables are secrets, and who sees them


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_known_by_its_name_or_its_value(name: str) -> None:
    assert is_secret(name, SECRETS[name])


@pytest.mark.parametrize("name", NO_SECRETS)
def test_what_a_program_needs_to_run_is_no_secret(name: str) -> None:
    assert not is_secret(name, NO_SECRETS[name])


def environment_for(purposes: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """What is left of an environment for a step with these purposes."""
    return {name: value for name, value in environ.items() if name not in withheld(purposes, environ)}


@pytest.mark.parametrize("purposes", [(), (HUB,), (TRACKERS,), (LABELLER,), (HUB, TRACKERS)], ids=str)
def test_a_step_sees_what_it_needs_and_nothing_else(purposes: tuple[str, ...]) -> None:
    seen = environment_for(purposes, EVERYTHING)
    assert seen.items() >= NO_SECRETS.items()
    for purpose, names in KNOWN.items():
        assert all((name in seen) == (purpose in (*purposes, STORE)) for name in names), purpose
    assert not {*UNKNOWN, *BY_VALUE} & set(seen)
    assert ("MLFLOW_TRACKING_URI" in seen) == (TRACKERS in purposes)
    assert "https_proxy" in seen, "every step may have to reach the store"


def test_a_purpose_that_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        environment_for(("hubb",), EVERYTHING)
    assert set(ALLOWED) == set(KNOWN)


def test_confined_takes_away_and_gives_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with confined((LABELLER,)):
        assert dict(os.environ) == environment_for((LABELLER,), before)
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    "value", ["a" * 100_000, "a://" * 25_000, "a://" + ":" * 100_000, "key=" * 25_000, "hf_" * 30_000]
)
def test_a_hostile_value_takes_no_time(value: str) -> None:
    began = time.monotonic()
    is_secret("X", value)
    secret_values({"X_KEY": value})
    assert time.monotonic() - began < 2


# What is taken out of text


@pytest.mark.parametrize("name", SECRETS)
def test_no_form_of_a_secret_is_left_in_a_text(name: str) -> None:
    values = secret_values({name: SECRETS[name]})
    for form in forms_of(SECRETS[name]):
        assert CANARY not in redact(f"before {form} after", values).replace(CANARY.replace("-", ""), CANARY)
    for line in SECRETS[name].splitlines():
        assert CANARY not in redact(f"x{line}y", values)


@given(st.text(min_size=8), st.text())
def test_a_text_without_the_secret_stays_as_it_is(secret: str, text: str) -> None:
    text = "".join(sign for sign in text if sign not in secret)
    assert redact(text, secret_values({"A_KEY": secret})) == text


def test_short_values_and_plain_addresses_stay_in_text() -> None:
    assert secret_values({"A_KEY": "short", "X": "https://hub.example/x", "PATH": "/usr/local/bin"}) == ()


@pytest.mark.parametrize("place", [0, 10, PIECE - 30, PIECE - 8, PIECE, 2 * PIECE - 9, 2 * PIECE + 99])
def test_a_log_is_scrubbed_wherever_a_secret_stands(tmp_path: Path, place: int) -> None:
    log, secret = tmp_path / "x.log", canary("LOG")
    log.write_bytes(b"a" * place + secret.encode() + b"z" * (2 * PIECE) + secret.encode())
    scrub(log, secret_values({"A_KEY": secret}))
    assert log.read_bytes() == b"a" * place + b"[secret]" + b"z" * (2 * PIECE) + b"[secret]"
    assert list(tmp_path.iterdir()) == [log]


# What the steps of a study need


def test_steps_ask_for_what_they_need_and_no_more(a_study) -> None:
    pinned = {"backbones.0.model": "owner/name", "backbones.0.revision": "a" * 40}
    planner = Planner(load(a_study(pinned)), Path("."), means=Means(report_to=("wandb",)))
    needs = {step.kind: set(step.secrets) for step in planner.steps}
    assert needs.pop("tune") == {HUB, TRACKERS}
    assert {kind for kind, wanted in needs.items() if wanted == {HUB}} == {"lengths", "loss", "generate"}
    assert all(wanted <= {HUB} for wanted in needs.values())


def test_local_studies_need_nothing_and_labels_by_an_endpoint_its_key(a_study, tmp_path: Path) -> None:
    assert {need for step in Planner(load(a_study()), tmp_path).steps for need in step.secrets} == set()
    endpoint = {
        "url": "http://127.0.0.1:9/v1",
        "model": "m",
        "dollars_per_million_in": 0.0,
        "dollars_per_million_out": 0.0,
    }
    asking = Planner(load(a_study({"label": {"by": "llm", "llm": endpoint, "audit": None}})), tmp_path)
    assert {step.kind for step in asking.steps if LABELLER in step.secrets} == {"label"}


def test_secrets_are_no_part_of_what_a_step_is(a_study) -> None:
    study = load(a_study({"backbones.0.model": "owner/name", "backbones.0.revision": "a" * 40}))
    quiet, tracked = (Planner(study, Path("."), means=Means(report_to=to)) for to in ((), ("wandb",)))
    assert [step.key for step in quiet.steps] == [step.key for step in tracked.steps]


# Steps that tell all they know


def a_step(name: str, do: Callable[..., None] = seen, secrets: tuple[str, ...] = (), **more: Any) -> Step:
    return Step("toy", name, do, 1, {}, secrets=secrets, identity={"name": name}, **more)


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def holding(folder: Path) -> list[str]:
    """The files under `folder` that hold a canary, in any of the forms in which a step could write it."""
    wanted = (CANARY.encode(), CANARY.replace("-", "").encode())
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(form in path.read_bytes() for form in wanted)]


def test_every_step_sees_its_own_secrets_and_what_it_tells_is_redacted(canaries: None, tmp_path: Path) -> None:
    """Steps of other needs never share a process, whoever worked before."""
    root, heard = tmp_path / "store", []
    purposes = [(), (HUB,), (), (TRACKERS,), (LABELLER,), (HUB,)]
    steps = [a_step(str(number), secrets=needed) for number, needed in enumerate(purposes)]
    with Children() as engine:

        def submit(root: Path, step: Step, progress: Any) -> Any:
            return engine.submit(root, step, lambda *news: (heard.append(news), progress(*news)))

        outcome = go(root, *steps, submit=submit)  # fmt: skip
    assert outcome.failed == []
    for step in steps:
        allowed = {name for purpose in (*step.secrets, STORE) for name in KNOWN[purpose]} | {"https_proxy"}
        allowed |= {"MLFLOW_TRACKING_URI"} if TRACKERS in step.secrets else set()
        assert set(json.loads((root / step.folder / "seen.json").read_text())) == allowed
    assert holding(root) == []
    assert len(list(root.glob("logs/*/*"))) == len(steps)
    assert heard
    assert CANARY not in str(heard)


@pytest.mark.parametrize("do", [fail, die])
def test_a_step_that_ends_badly_gives_nothing_away(canaries: None, tmp_path: Path, do: Any) -> None:
    root = tmp_path / "store"
    with Children() as engine:
        outcome = go(root, a_step("bad", do, (HUB, TRACKERS, LABELLER)), submit=engine.submit)
    assert len(outcome.failed) == 1
    assert CANARY not in outcome.failed[0].reason + "".join(outcome.failed[0].log)
    assert holding(root) == []
    assert "[secret]" in (next(root.glob("logs/toy/*"))).read_text()


def test_in_one_process_reasons_and_records_are_redacted(canaries: None, tmp_path: Path) -> None:
    outcome = go(tmp_path / "store", a_step("bad", fail))
    assert CANARY not in outcome.failed[0].reason
    quiet = Step("toy", "told", lambda inputs, out, **how: None, 1, {"words": [SECRETS["HF_TOKEN"]]})
    go(tmp_path / "store", quiet)
    assert holding(tmp_path / "store") == []


def test_what_travels_to_a_process_is_no_secret(canaries: None) -> None:
    assert CANARY.encode() not in pickle.dumps(a_step("x", secrets=(HUB,)))


@pytest.mark.long
def test_a_study_of_loud_steps_leaves_no_secret_anywhere(
    codedose, a_study, canaries: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every stage tells its environment; two trainings of four fail with it in their reason."""
    for name in (name for name in vars(stages) if name.endswith("_step")):
        monkeypatch.setattr(stages, name, Loud(getattr(stages, name), fails="/d1/" if name == "tune_step" else ""))
    write_backbone(tmp_path / "model", FAMILIES[0], layers=1, hidden=32)
    study = a_study({"backbones.0.model": "model", "tune.max_length": 1024})
    told = codedose("run", study, "--cores", "1")
    assert told.code == 3
    assert "it cannot be done" in told.out + told.err
    assert CANARY not in told.out + told.err
    assert holding(tmp_path) == []
    assert list((tmp_path / "store" / "report").glob("*/report.html"))
    assert len(list((tmp_path / "store" / "logs").glob("*/*.log"))) > 10


# A Ray cluster that lets in whoever asks

ANSWERS = {  # what Ray 2.60 sends to a question without a token: frames as they came over the line
    "open": (
        frame(HEADERS, END_HEADERS, 1, b"\x88@\x0ccontent-type\x10application/grpc")
        + frame(DATA, 0, 1, b"\x00\x00\x00\x00\x0c\n\x00\x12\x062.60.0 \x01"),
        True,
    ),
    "guarded": (
        frame(HEADERS, 5, 1, b"\x88@\x0ccontent-type\x10application/grpc\x00\x0bgrpc-status\x0216\x00\x0cgrpc-message>"
              b"InvalidAuthToken: Authentication token is missing or incorrect"),
        False,
    ),
    "open to ray://": (
        frame(HEADERS, 5, 1, b"\x88@\x0ccontent-type\x10application/grpc@\x0bgrpc-status\x015\x00\x0cgrpc-message\x1d"
              b"Failed to serialize response!"),
        True,
    ),
    "no Ray": (
        frame(HEADERS, 5, 1, b"\x88@\x0ccontent-type\x10application/grpc@\x0bgrpc-status\x0212\x00\x0cgrpc-message\x11"
              b"Method not found!"),
        None,
    ),
    "another stream": (frame(DATA, 0, 3, b"x"), None),
    "a web server": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 40_000, None),
    "garbage": (bytes(range(256)) * 9, None),
    "half a frame": (b"\x00\x00\x40\x00", None),
    "nothing": (b"", None),
}  # fmt: skip


@contextmanager
def answering(said: bytes | None) -> Iterator[str]:
    """The address of a server that says this to whoever asks, or with None nothing at all, and keeps the line."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        lines = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    line, _ = server.accept()
                    lines.append(line)
                    if said:
                        line.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        for line in lines:
            line.close()


@pytest.mark.parametrize("case", ANSWERS)
def test_a_cluster_without_a_token_is_known_by_its_answer(case: str) -> None:
    said, known = ANSWERS[case]
    with answering(said) as address:
        assert lets_in(address, 0.5) is known
        assert lets_in(f"ray://{address}", 0.5) is known


def test_a_server_that_never_answers_holds_nobody_up() -> None:
    with answering(None) as address:
        began = time.monotonic()
        assert lets_in(address, 0.3) is None
        assert time.monotonic() - began < 2


NO_ADDRESSES = (
    "",
    ":",
    "host:x",
    "[::1",
    "127.0.0.1:0",
    "127.0.0.1:99999",
    "ray://",
    "\0:1",
    "a" * 300,
    "x\n:1",
    "h:²",
)


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_an_address_that_is_none_is_no_cluster(address: str) -> None:
    assert lets_in(address, 0.2) is None


def test_clusters_are_found_by_name_by_note_and_by_their_processes(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.9:6379")
    environ = {"RAY_ADDRESS": "ray://head:10001", "RAY_TMPDIR": str(tmp_path)}
    assert clusters(environ)[:2] == ["ray://head:10001", "10.0.0.9:6379"]
    (tmp_path / "7").mkdir()
    words = ["/x/gcs_server", "--gcs_server_port=7001", "--node-ip-address=10.0.0.8", "--config_list=eyJ9"]
    (tmp_path / "7" / "cmdline").write_bytes("\0".join(words).encode())
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "cmdline").write_bytes(b"vi\0gcs_server\xff")
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "cmdline").write_bytes(b"/x/gcs_server\0--gcs_server_port=0\0--node-ip-address=127.0.0.1")
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / "cmdline").write_bytes(
        b"/x/raylet/raylet\0--node_ip_address=127.0.0.1\0--gcs-address=127.0.0.1:33177"
    )
    assert running(tmp_path) == ["10.0.0.8:7001", "127.0.0.1:33177"]


def test_doctor_warns_of_a_cluster_without_a_token(codedose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with answering(ANSWERS["open"][0]) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        told = codedose("doctor", "--json").json
        warned = [each for each in told if each["what"] == "Ray cluster" and address in each["found"]]
        assert len(warned) == 1
        assert "WARNING" in warned[0]["found"]
        assert "RAY_AUTH_MODE=token" in codedose("doctor").out.replace("\n", "")
    assert "ray" not in sys.modules


def test_a_reason_that_is_cut_holds_no_half_of_a_secret() -> None:
    secret = canary("A_LONG_NAME_OF_A_SECRET")
    values = secret_values({"A_KEY": secret})
    for before in range(MOST - len(secret) - 1, MOST + 1):
        assert CANARY[:8] not in reason_of(DataError("x" * before + secret + "y" * MOST), values)


# On a Ray cluster


def told_on_ray(root: Path) -> None:
    """The script of a run on a cluster of its own: what each step saw, and which files give a secret away."""
    steps = [a_step(str(number), secrets=needed) for number, needed in enumerate([(), (HUB,), (LABELLER,)])]
    bad = [a_step("bad", fail, (HUB,)), a_step("worse", die, (TRACKERS,))]
    with Rays(None, cores=2, gpus=0, patience=5) as engine:
        outcome = go(root, *steps, *bad, submit=engine.submit)
        logs = engine.cluster.folder
        found = [*holding(root), *holding(logs)]
        files = sum(path.is_file() for path in logs.rglob("*.log"))
    saw = [json.loads((root / step.folder / "seen.json").read_text()) for step in steps]
    failed = {each.step.label: each.reason for each in outcome.failed}
    (root / "told.json").write_text(json.dumps({"found": found, "files": files, "saw": saw, "failed": failed}))


@pytest.mark.long
def test_on_ray_steps_see_their_own_secrets_and_its_logs_hold_none(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'codedose[ray]'")
    root, here = tmp_path / "store", str(Path(__file__).parent)
    paths = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    script = f"from pathlib import Path; import test_gate; test_gate.told_on_ray(Path({str(root)!r}))"
    canaries = {name: value for name, value in SECRETS.items() if "proxy" not in name}
    environ = {**os.environ, **canaries, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:].replace(CANARY, "(canary)")
    assert CANARY not in done.stdout + done.stderr
    told = json.loads((root / "told.json").read_text())
    assert told["found"] == []
    assert told["files"] > 3
    assert set(told["failed"]) == {"bad", "worse"}
    assert CANARY not in str(told["failed"])
    assert [set(names) for names in told["saw"]] == [
        {name for purpose in (*needed, STORE) for name in KNOWN[purpose]} for needed in ((), (HUB,), (LABELLER,))
    ]

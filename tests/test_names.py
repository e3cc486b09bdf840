"""Names from studies, pools, hubs and records never lead out of the store, whatever strangers call things."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from conftest import SMALL, changed

from codedose.backbone import HUB_ID, identity
from codedose.errors import CodedoseError, DataError, StudyError
from codedose.joined import place_of
from codedose.keys import DEVICES, slug
from codedose.mix.export import names as names_of_arms
from codedose.plan import Planner
from codedose.report.cards import unique_slugs
from codedose.runner.perform import perform
from codedose.runner.place import open_store
from codedose.runner.record import is_folder, parsed, written
from codedose.runner.schedule import Slots, Teller, inline, run
from codedose.runner.step import Step
from codedose.runner.store import Store
from codedose.study import parse

HOSTILE = (
    ".", "..", "...", "../up", "../../../../etc/passwd", "a/../../b", "./here", "..\\..\\up", "/",
    "/etc/passwd", "//host/share", "C:\\Windows\\x", "C:x", "\\\\?\\C:\\x", "~", "~root/x",
    "$HOME/x", "%2e%2e%2fup", "..%00/x", "a\0b", "\0", "con", "NUL", "nul.txt", "aux.tar.gz",
    "COM1", "lpt9.log", "prn ", "a:b", "a*b?<>|\"'", "-rf", "--help", ".hidden", "record.json",
    "trashed.json", "scratch", "leases/x", "studies", "logs", "a\nb", "a\rb", "\t", " ", "x" * 300,
    "é" * 150, "中" * 100, "🧪" * 75, "\u202egnp.exe", "Сode", "Code", "code", "Ｃｏｄｅ", "\u212aode",
    "kode", "co\u0301de", "códe", "．．／up", "a\u2215b", "a\u2044b", "\u2024\u2024/up", "trailing.",
    "trailing ", "a.-x", "\ufeff", "\u200b", "s3://bucket/x", "file:///etc/passwd", "x;rm -rf ~",
    "`id`", "{x}", "[x]", "*", "\ud800", "\x7f", "\x1b[2J",
)  # fmt: skip


def name_of(text: str) -> str:
    return ascii(text)[:40]


def is_safe(root: Path, path: Path) -> bool:
    """Whether a path lies under `root`, every part of it short, plain and no device's name."""
    parts = path.relative_to(root).parts
    short = all(len(part.encode()) <= 120 and part.isascii() and part.isprintable() for part in parts)
    return short and not {part.partition(".")[0] for part in parts} & DEVICES and path.resolve().is_relative_to(root)


def put(inputs: list[Path], out: Path, *, progress: Any, name: str, **scratch: Path) -> None:
    (out / "checkpoint").mkdir()
    (out / "checkpoint" / "weights.txt").write_text("weights")
    (out / "name.txt").write_text(json.dumps(name))
    for folder in scratch.values():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state.txt").write_text("state")


def a_step(name: str, *needs: Step, **more: Any) -> Step:
    return Step("toy", name, put, 1, {"name": name.encode("utf-8", "surrogatepass").hex()}, needs, **more)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the store whose files nobody may touch; it looks like a part of a store."""
    folder = tmp_path / "outside"
    for place in ("checkpoint", "toy/checkpoint", "old-000000000000/checkpoint"):
        (folder / place).mkdir(parents=True)
        (folder / place / "precious.txt").write_text("precious")
    (folder / "precious.log").write_text("precious")
    return folder


# Labels of steps, on a disk and as keys of objects


def test_there_are_enough_names_and_each_has_a_folder_of_its_own() -> None:
    assert len(HOSTILE) >= 30
    folders = [a_step(name).folder for name in HOSTILE]
    assert len(set(folders)) == len(set(HOSTILE)) == len(HOSTILE)
    assert all(is_folder(folder) for folder in folders)


@pytest.mark.parametrize("name", HOSTILE, ids=name_of)
def test_a_slug_is_one_plain_part_of_a_path(name: str) -> None:
    path = PurePosixPath(slug(name))
    assert len(path.parts) == 1
    assert slug(name) not in (".", "..")
    assert slug(name).partition(".")[0] not in DEVICES
    assert slug(name).isascii()
    assert len(slug(name)) <= 60


def test_steps_of_any_name_stay_in_a_store_on_a_disk(tmp_path: Path, outside: Path) -> None:
    before, root = contents(outside), tmp_path / "store"
    steps = [a_step(name, perishable="checkpoint", has_scratch=True) for name in HOSTILE]
    last = Step("toy", "last", put, 1, {"name": "last"}, tuple(steps), consumes=tuple(steps))
    done = run(open_store(root), [*steps, last], slots=Slots(1), submit=inline, tell=Teller())
    assert done.failed == []
    store = open_store(root)
    assert store.verify() == []
    assert len(store.finished()) == len(HOSTILE) + 1
    store.discard(sorted(store.finished()), datetime.now(UTC))
    store.empty(datetime.now(UTC), timedelta(0))
    assert store.finished() == frozenset()
    assert contents(outside) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "store"]


def test_steps_of_any_name_stay_under_the_url_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("CODEDOSE_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe_file("/bucket/precious", b"precious")
    store = open_store("memory://bucket/names")
    for name in HOSTILE:
        perform(store, a_step(name, perishable="checkpoint", has_scratch=True), lambda *news: None)
    assert store.verify() == []
    keys = [key for key in memory.store if key != "/bucket/precious"]
    assert len(keys) >= 3 * len(HOSTILE)
    root = Path("/bucket/names")
    assert all(is_safe(root, Path(key)) for key in keys)
    store.discard(sorted(store.finished()), datetime.now(UTC))
    store.empty(datetime.now(UTC), timedelta(0))
    assert memory.cat("/bucket/precious") == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


# Names in studies


ARMS = SMALL["mix"]["arms"]
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "the study": lambda name: {"name": name},
    "an arm": lambda name: {"mix.arms": [*ARMS, {**ARMS[0], "name": name, "share": 0.5}]},
    "a backbone": lambda name: {"backbones.0.name": name},
    "a family": lambda name: {"backbones.0.family": name},
    "a model": lambda name: {"backbones.0.model": name, "backbones.0.revision": "a" * 40},
    "a revision": lambda name: {"backbones.0.model": "owner/name", "backbones.0.revision": name},
    "a task": lambda name: {"tasks.0.name": name},
    "the items": lambda name: {"item_set": name},
    "a task's file": lambda name: {"tasks.0": {**SMALL["tasks"][0], "origin": "official", "level": None, "path": name}},
    "a source": lambda name: {"pool.sources.0.path": name},
    "a source's entry": lambda name: {"pool.sources.0.path": f"dataset_info.json#{name}"},
    "a source on the hub": lambda name: {"pool.sources.0.path": name, "pool.sources.0.revision": "a" * 40},
    "a checkpoint": lambda name: {
        "joined": [{"backbone": "tiny", "arm": "Code", "share": None, "draw": 0, "seed": 0, "checkpoint": name}]
    },
    "a judge": lambda name: {"label.audit": name},
}  # fmt: skip


def elsewhere(folder: Path) -> list[str]:
    """The names that are no folder of this machine: reading one is anybody's right, and takes long."""
    return [name for name in HOSTILE if "\0" in name or "\ud800" in name or not os.path.isdir(folder / name)]


@pytest.mark.parametrize("place", PLACES)
def test_a_study_of_hostile_names_is_refused_or_planned_within_its_store(
    place: str, tmp_path: Path, backbone_folder: Path
) -> None:
    before = set(tmp_path.rglob("*"))
    planned = 0
    for name in elsewhere(tmp_path):
        try:
            study = parse(json.dumps(changed(SMALL, PLACES[place](name))), "s.yaml")
            steps = Planner(study, tmp_path).steps
        except CodedoseError:
            continue
        planned += 1
        assert all(is_folder(step.folder) for step in steps), name
        store = open_store(tmp_path / "store")
        assert all(is_safe(tmp_path / "store", store.log(step.folder)) for step in steps)
        assert is_safe(tmp_path / "store", tmp_path / "store" / "studies" / f"{study.name}.json")
    assert set(tmp_path.rglob("*")) == before
    assert planned or place in ("a revision", "a task")


@pytest.mark.parametrize("name", HOSTILE, ids=name_of)
def test_no_hostile_name_is_a_model_on_the_hub(name: str) -> None:
    """What reaches the hub's library as an id is owner/name and nothing that a path could be."""
    if HUB_ID.fullmatch(name):
        assert name.count("/") == 1
        assert not {"..", "", "."} & set(name.split("/"))
    assert not HUB_ID.fullmatch(f"../{name}")


# Names that become files elsewhere


def test_files_of_arms_and_cards_are_apart_and_plain() -> None:
    arms = names_of_arms([(name, str(draw)) for name in HOSTILE for draw in (0, 1)])
    cards = unique_slugs(list(HOSTILE))
    for found in (list(arms.values()), list(cards.values())):
        assert len({name.casefold() for name in found}) == len(found)
        assert all(is_safe(Path("/out"), Path("/out") / f"{name}.jsonl") for name in found)


def test_checkpoints_of_any_name_have_a_place_in_the_cache(
    tmp_path: Path, backbone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEDOSE_CACHE", str(tmp_path / "cache"))
    made = 0
    for name in HOSTILE:
        folder = tmp_path / "runs" / name.replace("/", "_").replace("\0", "_")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError):  # names that this file system does not take
            continue
        made += 1
        place = place_of(folder, backbone_folder)
        assert place.parent == tmp_path / "cache" / "joined"
        assert is_safe(tmp_path / "cache", place)
        assert identity(str(folder), None) == {"files": {}}
    assert made > 30


# Links that were planted in a store


LINKS = (
    "toy", "toy/{name}", "toy/{name}/checkpoint", "scratch", "scratch/toy", "scratch/toy/{name}", "logs", "logs/toy",
    "logs/toy/{name}.log", "leases", "leases/toy", "studies", "studies/small.json", "toy/.draft-{name}-x",
)  # fmt: skip


@pytest.fixture(params=LINKS)
def planted(request: pytest.FixtureRequest, tmp_path: Path, outside: Path) -> Iterator[tuple[Store, Step]]:
    """A store with a link out of it where a step will be written, and the step; afterwards the outside is whole."""
    before = contents(outside)
    step = a_step("name", perishable="checkpoint", has_scratch=True)
    link = tmp_path / "store" / request.param.format(name=PurePosixPath(step.folder).name)
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "precious.log" if link.suffix == ".log" else outside)
    if link.name == "checkpoint":
        record = {"files": {}, "needs": [], "attempt": "x", "perishable": "checkpoint"}
        (link.parent / "record.json").write_text(json.dumps(record))
    yield open_store(tmp_path / "store"), step
    assert contents(outside) == before
    assert {path.name for path in tmp_path.iterdir()} == {"store", "outside"}


def test_nothing_is_written_or_deleted_through_a_link(planted: tuple[Store, Step]) -> None:
    store, step = planted
    acts: tuple[Callable[[], object], ...] = (
        store.prepare,
        lambda: store.remember("small", [step]),
        lambda: store.log(step.folder).parent.mkdir(parents=True, exist_ok=True),
        lambda: store.log(step.folder).write_text("said"),
        lambda: perform(store, step, lambda *news: None),
        lambda: store.release(step),
        lambda: store.discard([step.folder, "old-000000000000/x"], datetime.now(UTC)),
        lambda: store.discard(store.unreached(), datetime.now(UTC)),
        lambda: store.empty(datetime.now(UTC), timedelta(0)),
        lambda: store.delete(step.folder),
        store.prepare,
    )
    for act in acts:
        with suppress(StudyError, FileNotFoundError, IsADirectoryError):
            act()


def test_a_whole_store_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "there")
    perform(open_store(tmp_path / "store"), a_step("x"), lambda *news: None)
    assert open_store(tmp_path / "there").finished() == {a_step("x").folder}


# Records and notes that a stranger wrote


RECORD: dict[str, Any] = {
    "files": {"a.txt": {"size": 1, "sha256": "0"}},
    "needs": [],
    "attempt": "x",
    "perishable": None,
}
OUT = ("../x", "/etc/passwd", "a/../../x", "", "..", "a\0b", "..\\x", "toy/../../x")


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("place", ["files", "needs", "perishable"])
def test_a_record_that_leads_out_of_the_store_is_refused(place: str, name: str) -> None:
    value: Any = {"files": {name: {"size": 1, "sha256": "0"}}, "needs": [name], "perishable": name or ".."}[place]
    with pytest.raises(DataError, match="is not a step's record"):
        parsed(written({**RECORD, place: value}), "toy/x")
    assert parsed(written(RECORD), "toy/x")


@pytest.mark.parametrize("name", OUT)
def test_a_study_note_that_leads_out_of_the_store_is_refused(tmp_path: Path, name: str) -> None:
    store = open_store(tmp_path)
    store.write("studies/small.json", json.dumps([name]).encode())
    with pytest.raises(DataError, match="cannot be read"):
        store.reached()


@pytest.mark.parametrize("url", ["s3://me:password@bucket/x", "https://a:bcdef@host/store"])
def test_a_url_with_a_password_is_refused(url: str) -> None:
    with pytest.raises(StudyError, match="from the environment only"):
        open_store(url)

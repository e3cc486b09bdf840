"""Two processes lose what one loses, whether each holds the model or half of it, killed on the way or not."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from safetensors.torch import load_file, save_file
from test_tune import LORA, SETTINGS, silent, some_examples
from test_tune_resume import Killed, too_little
from tiny import FAMILIES, write_backbone
from torch.distributed.device_mesh import init_device_mesh

from codedose import tune
from codedose.backbone import load_model
from codedose.errors import MachineError
from codedose.study import Tune
from codedose.tune import attend, train
from codedose.tune.means import Means
from codedose.tune.rank import among
from codedose.tune.ready import inner, ready
from codedose.tune.shards import Several, sharded
from codedose.tune.spread import train_apart
from codedose.tune.team import rounds, shares

HOW = SETTINGS.model_copy(
    update={"epochs": None, "steps": 4, "schedule": "cosine", "weight_decay": 0.1, "learning_rate": 2e-4}
)
FIFTY = HOW.model_copy(update={"steps": 50})
ADAPTED = FIFTY.model_copy(update={"method": "lora", "lora": LORA, "learning_rate": 1e-3, "steps": 12})
MIXED = ADAPTED.model_copy(update={"precision": "bfloat16_mixed"})


@dataclass(frozen=True)
class Case:
    """One training, in both of two processes."""

    folder: Path
    how: Tune
    sharded: bool
    micro_tokens: int = 100  # so that processes have several micro-batches, and not equally many
    killed_in: int | None = None
    kept: Path | None = None
    twice: bool = False
    refuses_documents: bool = False
    too_little_in: int | None = None


def made(folder: Path, how: Tune, device: str = "cpu") -> Any:
    return inner(ready(folder, how, seed=1, device=device))


def killing(killed_in: int | None) -> Callable[[int, int, str], None]:
    def kill(done: int, of: int, note: str) -> None:
        if done == killed_in:
            raise Killed

    return kill


def told(rows: list[dict[str, Any]], *names: str) -> list[float]:
    return [row[name] for row in rows for name in names or ("loss",)]


def alone(case: Case) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """The same by one process: its rows and its weights."""
    model = made(case.folder, case.how)
    rows = train(model, some_examples(16), case.how, seed=1, progress=killing(case.killed_in), kept=case.kept)
    return rows, dict(model.state_dict())


def one_of_two(rank: int, meeting: Path, cases: list[Case], out: Path) -> None:
    """What each process does: one case after the other; what it saw is written to `out`."""
    with among(rank, 2, meeting):
        for number, case in enumerate(cases):
            said, weights = together(rank, case)
            (out / f"{number}.{rank}.json").write_text(json.dumps(said))
            save_file(weights, out / f"{number}.{rank}.safetensors")


def together(rank: int, case: Case) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    before = (tune.optimiser_of, tune.weighted_loss, attend.attend)
    optimisers: list[Any] = []
    tune.optimiser_of = lambda *given: optimisers.append(before[0](*given)) or optimisers[-1]
    if case.too_little_in == rank:
        tune.weighted_loss = too_little(65)
    if case.refuses_documents:
        attend.attend = refusing
    model = made(case.folder, case.how)
    if case.twice:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    root = sharded(model, init_device_mesh("cpu", (2,))) if case.sharded else None
    team = Several(rank, 2, torch.device("cpu"), root)
    kept: dict[str, Any] = {"kept": case.kept, "kept_every": 0.0}
    rows = []
    with suppress(Killed):
        rows = train(
            model,
            some_examples(16),
            case.how,
            seed=1,
            progress=killing(case.killed_in),
            micro_tokens=case.micro_tokens,
            team=team,
            **kept,
        )
    tune.optimiser_of, tune.weighted_loss, attend.attend = before
    whole = {name: team.whole(weights.detach()).contiguous() for name, weights in model.named_parameters()}
    return {"rows": rows, "held": held(model, optimisers[0])}, whole


def refusing(*given: Any, **named: Any) -> Any:
    raise ValueError("this attention knows no documents")


def held(model: Any, optimiser: Any) -> dict[str, list[int | str]]:
    """What every weight is here and how many numbers of it: in all, of the weight, and of its moments."""
    found: dict[str, list[int | str]] = {}
    for name, weights in model.named_parameters():
        parts = [weights, *(optimiser.state[weights].get(kind) for kind in ("exp_avg", "exp_avg_sq"))]
        here = [part.to_local() if hasattr(part, "to_local") else part for part in parts if part is not None]
        found[name] = [str(getattr(weights, "placements", None)), weights.numel(), *(part.numel() for part in here)]
    return found


def two(cases: list[Case], out: Path) -> list[list[tuple[dict[str, Any], dict[str, torch.Tensor]]]]:
    """Two processes do all cases; of each case what either saw."""
    context = multiprocessing.get_context("spawn")
    out.mkdir()
    processes = [context.Process(target=one_of_two, args=(rank, out / "meeting", cases, out)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    return [
        [
            (json.loads((out / f"{number}.{rank}.json").read_text()), load_file(out / f"{number}.{rank}.safetensors"))
            for rank in range(2)
        ]
        for number in range(len(cases))
    ]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("backbones")
    return {family.name: write_backbone(home / family.name, family, layers=2, hidden=32) for family in FAMILIES}


@given(some.lists(some.integers(2, 300), min_size=1, max_size=40), some.integers(1, 5), some.booleans())
def test_everyone_is_taken_once_in_equally_many_rounds(lengths, processes, packed):
    told = [list(rounds(lengths, 400, packed=packed, rank=rank, processes=processes)) for rank in range(processes)]
    assert len({len(each) for each in told}) == 1
    taken = [place for each in told for members, factor in each if factor for place in members]
    assert sorted(taken) == list(range(len(lengths)))
    tokens = [sum(lengths[place] for place in share) for share in shares(lengths, processes)]
    assert max(tokens) - min(tokens) <= max(lengths)


def assert_same(found: Any, wanted: tuple[list[dict[str, Any]], dict[str, torch.Tensor]], rel: float = 1e-5) -> None:
    """Losses agree, in both processes to the last bit; so do norms, and what was trained."""
    rows, weights = wanted
    (first, whole), (second, again) = found
    assert told(first["rows"], "loss", "grad_norm") == told(second["rows"], "loss", "grad_norm")
    assert told(first["rows"]) == pytest.approx(told(rows), rel=rel)
    assert told(first["rows"], "grad_norm") == pytest.approx(told(rows, "grad_norm"), rel=100 * rel)
    assert [row["tokens"] for row in first["rows"]] == [row["tokens"] for row in rows]
    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name])
        if "k_proj.bias" not in name:  # its gradient is rounding: softmax takes no notice of it
            torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=20 * rel, msg=name)


def assert_halved(found: Any) -> None:
    """Of every weight each process holds a part, and together they hold it once; so too what is trained has moments."""
    for name, (placed, of, *here) in found[0][0]["held"].items():
        there = found[1][0]["held"][name][2:]
        assert placed == "(Shard(dim=0),)"
        assert {a + b for a, b in zip(here, there, strict=True)} == {of}
        assert all(abs(a - b) <= of / 8 for a, b in zip(here, there, strict=True)), name


def assert_agree(cases: list[Case], out: Path) -> None:
    for case, found in zip(cases, two(cases, out), strict=True):
        if case.sharded:
            assert_halved(found)
        if case.how.precision == "float32":
            assert_same(found, alone(case))
        else:
            wanted = told(alone(case)[0])
            assert told(found[0][0]["rows"]) == pytest.approx(wanted, rel=3e-3)


@pytest.mark.long
def test_two_processes_lose_what_one_loses_over_fifty_steps(folders, tmp_path):
    """Each with the whole model and with half of it; and half of tied embeddings, of an example, and of adapters."""
    llama, tied = folders["Llama-2"], folders["Llama-3"]
    by_example, single = (HOW.model_copy(update=change) for change in ({"loss": "example_mean"}, {"step_size": 1}))
    cases = [Case(llama, FIFTY, False), Case(llama, FIFTY, True), Case(tied, by_example, True)]
    cases += [Case(llama, single, True), Case(tied, ADAPTED, True)]
    assert_agree(cases, tmp_path / "out")
    rows = alone(cases[0])[0]
    assert rows[-1]["loss"] < 0.99 * rows[0]["loss"]  # it does learn


@pytest.mark.soak
def test_the_same_the_other_way_round(folders, tmp_path):
    """What the test above leaves out: also bfloat16, and adapters in float32 on a backbone in bfloat16."""
    llama, tied = folders["Llama-2"], folders["Llama-3"]
    by_example, single = (FIFTY.model_copy(update=change) for change in ({"loss": "example_mean"}, {"step_size": 1}))
    cases = [Case(tied, by_example, False), Case(tied, by_example, True), Case(llama, single, False)]
    cases += [Case(tied, ADAPTED, False), Case(tied, MIXED, False), Case(tied, MIXED, True)]
    for precision in ("bfloat16_mixed", "bfloat16_pure"):
        how = HOW.model_copy(update={"precision": precision})
        cases += [Case(tied, how, False), Case(tied, how, True)]
    assert_agree(cases, tmp_path / "out")


@pytest.mark.soak
def test_every_family_and_every_way_of_computing_it(folders, tmp_path):
    """Also layers computed twice, a model that takes no documents in a row, and too little memory in one process."""
    llama = folders["Llama-2"]
    cases = [Case(folder, HOW, is_sharded) for folder in folders.values() for is_sharded in (False, True)]
    cases += [Case(llama, HOW, True, twice=True), Case(llama, HOW, True, refuses_documents=True)]
    cases += [Case(llama, HOW, False, too_little_in=1, micro_tokens=10**6)]
    assert_agree(cases, tmp_path / "out")


@pytest.mark.long
def test_what_is_killed_goes_on_with_as_many_processes_or_with_others(folders, tmp_path):
    how, wanted = HOW.model_copy(update={"steps": 8}), {}
    cases, kept = [], [tmp_path / name for name in ("replicated", "sharded", "of one", "to one")]
    for folder in kept:
        folder.mkdir()
    llama = folders["Llama-3"]
    cases += [Case(llama, how, False, kept=kept[0], killed_in=5), Case(llama, how, True, kept=kept[0])]
    cases += [Case(llama, how, True, kept=kept[1], killed_in=3), Case(llama, how, True, kept=kept[1])]
    cases += [Case(llama, how, True, kept=kept[2]), Case(llama, how, True, kept=kept[3], killed_in=6)]
    with pytest.raises(Killed):
        train(made(llama, how), some_examples(16), how, seed=1, progress=killing(4), kept=kept[2], kept_every=0.0)
    found = two(cases, tmp_path / "out")
    wanted = alone(Case(llama, how, False))
    for number in (1, 3, 4):
        assert_same(found[number], wanted)
    seen: list[int] = []
    last = train(
        made(llama, how), some_examples(16), how, seed=1, progress=lambda done, *_: seen.append(done), kept=kept[3]
    )
    assert seen[0] == 6
    assert told(last) == pytest.approx(told(wanted[0]), rel=1e-5)


# From here on all comes from the entry, which starts the processes itself.


def make(folder: Path, how: Tune, out: Path, device: str) -> tuple[Any, Callable[[], None]]:
    model = made(folder, how, device)
    return model, partial(model.save_pretrained, out)


def failing(how: str, device: str) -> tuple[Any, Callable[[], None]]:
    """The second of two processes has trouble, while the first waits for it."""
    if torch.distributed.get_rank() == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise {"refused": MachineError("no such model: copy it here"), "failed": KeyError("a mistake")}[how]
    torch.distributed.barrier()
    raise AssertionError("nobody came")


def scant(folder: Path, how: Tune, out: Path, device: str) -> tuple[Any, Callable[[], None]]:
    """The second process has room for 65 tokens at once."""
    if torch.distributed.get_rank() == 1:
        tune.weighted_loss = too_little(65)
    return make(folder, how, out, device)


@pytest.mark.long
@pytest.mark.parametrize("making", [make, pytest.param(scant, marks=pytest.mark.soak)])
def test_a_sharded_training_tells_its_steps_and_keeps_a_whole_model(folders, tmp_path, making):
    """Also where memory runs out in one process: all begin again with less at once, until it suffices."""
    seen: list[int] = []
    heard: list[dict[str, Any]] = []
    rows = train_apart(
        partial(making, folders["Llama-3"], HOW, tmp_path / "out"),
        some_examples(16),
        HOW,
        processes=2,
        sharded=True,
        seed=1,
        progress=lambda done, of, note: seen.append(done),
        hear=heard.append,
    )
    wanted, weights = alone(Case(folders["Llama-3"], HOW, True))
    assert told(rows) == pytest.approx(told(wanted), rel=1e-5)
    assert seen[-4:] == [1, 2, 3, 4]
    assert heard[-4:] == rows
    for name, tensor in load_model(tmp_path / "out", "float32").state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=2e-4)


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("refused", MachineError, "^no such model: copy it here$"),
        ("killed", MachineError, "was killed by SIGKILL .* run the same again to go on$"),
        pytest.param(
            *("failed", RuntimeError, "^process 1 of a training failed: KeyError: 'a mistake'$"), marks=pytest.mark.soak
        ),
    ],
)
def test_the_trouble_of_one_process_is_told_and_ends_all(how, kind, words):
    began = {each.pid for each in multiprocessing.active_children()}
    with pytest.raises(kind, match=words):
        train_apart(partial(failing, how), some_examples(4), HOW, processes=2, sharded=False, seed=1, progress=silent)
    assert {each.pid for each in multiprocessing.active_children()} <= began


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(MachineError, match="2 processes of one training need a GPU each, and 1 are"):
        train_apart(make, [], HOW, processes=2, sharded=False, seed=1, progress=silent)


def test_states_in_8_bits_are_not_sharded():
    means = Means(states="8bit")
    with pytest.raises(MachineError, match="states in 8 bits cannot be sharded; keep them whole, or replicate"):
        train_apart(make, [], HOW, processes=2, sharded=True, seed=1, progress=silent, means=means)


LEFT_ALONE = """
import sys
from functools import partial
from pathlib import Path
from test_spread import HOW, silent, some_examples, sleeping, train_apart
if __name__ == "__main__":
    how = partial(sleeping, Path(sys.argv[1]))
    train_apart(how, some_examples(4), HOW, processes=2, sharded=False, seed=1, progress=silent)
"""


def sleeping(told: Path, device: str) -> Any:
    (told / str(os.getpid())).touch()
    time.sleep(10**6)


@pytest.mark.long
@pytest.mark.parametrize(
    "ended_by",
    [signal.SIGKILL, *(pytest.param(each, marks=pytest.mark.soak) for each in (signal.SIGINT, signal.SIGTERM))],
)
def test_processes_end_with_the_one_that_started_them(tmp_path, ended_by):
    script, told = tmp_path / "alone.py", tmp_path / "told"
    script.write_text(LEFT_ALONE)
    told.mkdir()
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    parent = subprocess.Popen(
        [sys.executable, script, told], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True
    )
    until(lambda: len(list(told.iterdir())) == 2)
    parent.send_signal(ended_by)
    said = parent.communicate(timeout=60)[1]
    assert said.count("Traceback") == (1 if ended_by == signal.SIGINT else 0)  # its own, and none of its children
    until(lambda: not any(Path(f"/proc/{pid.name}").exists() for pid in told.iterdir()))


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 180
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)

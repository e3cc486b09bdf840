"""The command line: exit codes, JSON, and one clear sentence for everything a person can get wrong."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Said, mounted

from codedose import tables
from codedose.cli import STAGES, STUDIES, app
from codedose.study import load
from codedose.tasks import TASKS

PROGRAM = [sys.executable, "-c", "from codedose.cli import main; main()"]


def refusal(said: Said, code: int) -> str:
    """The one sentence with which a command was refused."""
    assert said.code == code, said
    assert "Traceback" not in said.err + said.out
    assert len(said.err.splitlines()) == 1, said.err
    assert said.err.startswith("codedose: ")
    return said.err


# Help


def test_help_names_every_command(codedose):
    told = codedose("--help")
    assert told.code == 0
    assert {command.__name__ for command in (*STUDIES, *STAGES)} <= set(told.out.split())
    assert len(STUDIES) + len(STAGES) == len(app.registered_commands)


@pytest.mark.parametrize("command", [command.__name__ for command in (*STUDIES, *STAGES)])
def test_every_command_has_help_and_json(codedose, command):
    told = codedose(command, "--help")
    assert told.code == 0
    assert "--json" in told.out


@pytest.mark.parametrize(
    "words", [["plam"], ["plan"], ["plan", "a", "b"], ["tasks", "--level", "9"], ["run", "--cores", "0"]]
)
def test_wrong_use_ends_with_2(codedose, words):
    told = codedose(*words)
    assert told.code == 2
    assert "Traceback" not in told.err


# JSON


def test_new_writes_a_study_that_plans_and_never_over_another(codedose, tmp_path):
    path = tmp_path / "my-study.yaml"
    assert codedose("new", path, "--json").json == {"study": str(path)}
    study = load(path)
    assert study.name == "my-study"
    told = codedose("plan", path, "--json")
    assert told.code == 0
    assert told.json["study"] == "my-study"
    path.write_text("mine")
    assert str(path) in refusal(codedose("new", path), 2)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["My Study.yaml", "ä.yaml", ".yaml"])
def test_new_refuses_a_name_that_no_study_can_have(codedose, tmp_path, name):
    assert "name" in refusal(codedose("new", tmp_path / name), 2)
    assert list(tmp_path.iterdir()) == []


def test_new_in_a_folder_that_is_not_there_is_refused(codedose, tmp_path):
    told = codedose("new", tmp_path / "gone" / "a.yaml")
    assert told.code in (2, 4)
    assert "gone" in refusal(told, told.code)


def test_plan_tells_cells_steps_cost_and_power(codedose, a_study):
    told = codedose("plan", a_study(), "--json").json
    assert told["cells"] == 5
    assert told["arms"] == {"General": 0.0, "Code": 1.0}
    assert told["tasks"] == ["coin_flip", "gsm8k"]
    assert told["steps"]["tune"] == {"of": 4, "to_run": 4}
    assert len(told["why"]) == sum(count["to_run"] for count in told["steps"].values())
    assert told["cost"]["runs"] == 4
    assert told["cost"]["replies"] == 5 * 4
    assert told["smallest_effect"] > 0
    assert told["missing"] == []


def test_plan_in_words_tells_the_same(codedose, a_study):
    told = codedose("plan", a_study())
    assert told.code == 0
    assert "5 cells, 4 trainings, 20 replies" in told.out


def test_one_draw_has_no_power(codedose, a_study):
    assert codedose("plan", a_study({"mix.draws": 1}), "--json").json["smallest_effect"] is None


def test_the_reference_study_plans_with_nothing_downloaded(codedose):
    told = codedose("plan", Path(__file__).parents[1] / "studies" / "paper.yaml", "--json")
    assert told.code == 0
    assert told.json["steps"]["tune"]["of"] == 54
    assert told.json["steps"]["generate"]["of"] == 720
    missing = " ".join(told.json["missing"])
    assert all(name in missing for name in ("sharegpt.json", "hf download", "gsm8k"))


def test_plan_and_status_write_nothing(codedose, a_study, tmp_path):
    study = a_study()
    before = sorted(tmp_path.rglob("*"))
    codedose("plan", study)
    assert codedose("status", study, "--json").json["report"] is None
    assert sorted(tmp_path.rglob("*")) == before


def test_tasks_are_the_twelve(codedose):
    assert [task["task"] for task in codedose("tasks", "--json").json] == [task.name for task in TASKS]
    shown = codedose("tasks", "gsm8k", "--level", 2, "--json").json
    assert (shown["task"], shown["level"], len(shown["items"])) == ("gsm8k", 2, 3)


def test_backbones_schema_and_doctor_speak_json(codedose):
    assert codedose("backbones", "--json").json[0]["backbone"].startswith("builtin:")
    assert codedose("schema").json["additionalProperties"] is False
    told = codedose("doctor", "--json")
    assert told.code == (0 if all(finding["ok"] for finding in told.json) else 4)


# A store: status, report, gc


def test_gc_frees_what_no_study_needs_and_says_so_first(codedose, a_study, tmp_path):
    study, store = a_study(), tmp_path / "elsewhere"
    assert "no store" in refusal(codedose("gc", study, "--store", store), 2)
    old = store / "pool" / "pool-0123456789ab"
    old.mkdir(parents=True)
    (old / "record.json").write_text("{}")
    (old / "examples.parquet").write_bytes(bytes(1000))
    name, tell = "pool/pool-0123456789ab", ("gc", study, "--store", store, "--json")
    assert codedose(*tell, "--dry-run").json == {"folders": [name], "freed_bytes": 0, "in_trash": []}
    assert codedose(*tell).json == {"folders": [name], "freed_bytes": 0, "in_trash": [name]}
    assert (old / "examples.parquet").is_file()
    assert codedose(*tell, "--now").json == {"folders": [], "freed_bytes": 1002, "in_trash": []}
    assert not old.exists()


def test_report_before_the_end_says_what_to_do(codedose, a_study):
    sentence = refusal(codedose("report", a_study()), 2)
    assert "codedose run" in sentence
    assert "small.yaml" in sentence


def test_analyse_without_scores_says_where_they_could_come_from(codedose, a_study, tmp_path):
    out = ("--out", tmp_path / "effects.parquet")
    assert "--study" in refusal(codedose("analyse", *out), 2)
    assert "cells are scored" in refusal(codedose("analyse", "--study", a_study(), *out), 2)
    assert "go together" in refusal(codedose("analyse", tmp_path / "s.parquet", "--labels", "l.parquet", *out), 2)


# What a person gets wrong: before anything runs


def test_a_study_that_is_wrong_is_one_sentence_with_its_line(codedose, a_study, tmp_path):
    for command in ("plan", "run", "status", "report", "gc"):
        text = a_study().read_text().replace("  budget:", "  bugdet:")
        (tmp_path / "typo.yaml").write_text(text.replace("bugdet: 8", "budget: 8\n  bugdet: 8"))
        sentence = refusal(codedose(command, tmp_path / "typo.yaml"), 2)
        assert "did you mean 'budget'" in sentence
        assert "typo.yaml: line " in sentence
        assert "'2'" in refusal(codedose(command, a_study({"mix.draws": "2"})), 2).replace('"', "'")
        assert "gone.yaml" in refusal(codedose(command, tmp_path / "gone.yaml"), 2)
        assert "did you mean 'coin_flip'" in refusal(codedose(command, a_study({"tasks.0.name": "coin_flop"})), 2)
    assert not (tmp_path / "store").exists()


def test_a_missing_data_file_stops_a_run_before_it_starts(codedose, a_study, tmp_path):
    study = a_study({"pool.sources.0.path": "gone.jsonl"})
    assert str(tmp_path / "gone.jsonl") in refusal(codedose("run", study), 2)
    assert codedose("plan", study).code == 0
    assert not (tmp_path / "store").exists()


def test_a_backbone_without_a_tokenizer_stops_a_run_before_it_starts(codedose, a_study, backbone_folder):
    study = a_study()
    (backbone_folder / "tokenizer.json").unlink()
    assert "tokenizer" in refusal(codedose("run", study), 4)


def test_a_store_without_write_permission_is_one_clear_error(codedose, a_study, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for command in ("run", "gc"):
        sentence = refusal(codedose(command, a_study(), "--store", tmp_path / "file" / "store"), 2)
        assert str(tmp_path / "file" / "store") in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_one_clear_error(codedose, a_study, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "closed" in refusal(codedose("run", a_study(), "--store", tmp_path / "closed" / "store"), 2)


def test_a_full_disk_is_one_clear_error(codedose, a_study, tmp_path):
    with mounted(tmp_path / "disk", "size=8k") as disk:
        (disk / "ballast").write_bytes(bytes(8192))
        told = codedose("run", a_study(), "--store", disk / "store")
        assert "No space left" in refusal(told, 4)


# What a person gets wrong: found by a step


def run_on_pool(codedose, a_study, tmp_path: Path, content: bytes) -> Said:
    (tmp_path / "pool.jsonl").write_bytes(content)
    return codedose("run", a_study({"pool.sources.0.path": "pool.jsonl", "untuned": False}), "--cores", 1)


def failures(said: Said) -> list[str]:
    assert said.code == 3, said
    assert "Traceback" not in said.err + said.out
    return [line for line in said.err.splitlines() if line.startswith("failed: ")]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "pool.jsonl"),
        (b"\n\n", "pool.jsonl"),
        (b"\x89PNG\r\n\x1a\n\x00\xff" * 99, "pool.jsonl"),
        (b"\x00" * 500, "pool.jsonl"),
        (b"just words\n", "pool.jsonl"),
        (b'{"messages": []}\n', "the pool is empty: 1 "),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_a_pool_of_nothing_is_one_failure_that_names_it(codedose, a_study, tmp_path, content, word):
    (failure,) = failures(run_on_pool(codedose, a_study, tmp_path, content))
    assert failure.startswith("failed: pool pool: ")
    assert word in failure
    assert word in refusal(codedose("pool", tmp_path / "pool.jsonl", "--out", tmp_path / "out"), 2)
    assert not (tmp_path / "out").exists()


def test_a_pool_too_small_for_an_arm_says_by_how_much_and_keeps_what_is_done(codedose, a_study, tmp_path):
    pairs = (("coding", 5 + 2), ("math", 5 + 2), ("other", 4 + 2))  # two of each are held out
    lines = [
        {
            "label": label,
            "messages": [{"role": "user", "content": f"{label} {n}?"}, {"role": "assistant", "content": f"It is {n}."}],
        }
        for label, count in pairs
        for n in range(count)
    ]
    said = run_on_pool(codedose, a_study, tmp_path, "\n".join(map(json.dumps, lines)).encode())
    told = sorted(failures(said))  # in the order in which they ended
    assert [failure.split(":")[1].strip() for failure in told] == [
        "mix Code-d0",
        "mix Code-d1",
        "mix General-d0",
        "mix General-d1",
    ]
    assert all("6" in failure and "4" in failure and "other" in failure for failure in told[2:])
    assert all("6" in failure and "5" in failure and "coding" in failure for failure in told[:2])
    state = codedose("status", tmp_path / "small.yaml", "--json").json
    assert state["steps"]["pool"]["done"] == state["steps"]["label"]["done"] == 1
    assert state["steps"]["items"] == {"done": 2, "of": 2}
    assert state["steps"]["mix"] == {"done": 0, "of": 4}


def test_run_in_json_is_one_document_also_when_it_fails(codedose, a_study, tmp_path):
    (tmp_path / "pool.jsonl").write_bytes(b"")
    told = codedose("run", a_study({"pool.sources.0.path": "pool.jsonl", "untuned": False}), "--cores", 1, "--json")
    assert told.code == 3
    assert [failure["step"].split("/")[0] for failure in told.json["failed"]] == ["pool"]
    assert told.json["performed"] == 2  # the items do not need the pool
    assert told.json["report"] is None


# Stages on plain files


def test_the_stages_pass_plain_files_on(codedose, tmp_path):
    """pool -> label -> mix, and items: each reads what the one before wrote."""
    told = codedose("pool", "builtin:starter", "--out", tmp_path / "pool", "--licence", "Apache-2.0", "--json").json
    assert told["records"] == told["kept"] + sum(told["dropped"].values())
    examples, labels = tmp_path / "pool" / "examples.parquet", tmp_path / "labels.parquet"
    counted = codedose("label", examples, "--by", "stated", "--out", labels, "--json").json["labels"]
    assert sum(counted.values()) == told["kept"]
    words = ["--arm", "General=0", "--arm", "Code=1", "--budget", 12, "--math", 2, "--draws", 2]
    mixed = codedose("mix", examples, labels, *words, "--out", tmp_path / "mix", "--json")
    assert {row["arm"] for row in mixed.json["balance"]} == {"General", "Code"}
    draws = tables.read(tmp_path / "mix" / "draws.parquet", tables.DRAWS)
    assert sorted(draws.group_by("arm", "draw").len()["len"]) == [12, 12, 12, 12]
    made = codedose(
        "items", "gsm8k", "--count", 3, "--level", 1, "--name", "x", "--out", tmp_path / "i.parquet", "--json"
    )
    assert made.json["items"] == 3
    assert tables.read(tmp_path / "i.parquet", tables.ITEMS).height == 3


def test_the_stages_name_what_is_wrong_with_a_file(codedose, tmp_path):
    garbage = tmp_path / "garbage.parquet"
    garbage.write_bytes(b"\x00" * 64)
    out = tmp_path / "out.parquet"
    for words in (
        ["label", garbage, "--by", "rules", "--out", out],
        ["mix", garbage, garbage, "--arm", "A=1", "--budget", 1, "--math", 0, "--draws", 1, "--out", out],
        ["score", garbage, "--out", out],
        ["analyse", garbage, "--out", out],
    ):
        assert "garbage.parquet" in refusal(codedose(*words), 2)
    assert not out.exists()


@pytest.mark.parametrize("arm", ["Code", "Code=2", "=1", "Code=x", "Code=nan"])
def test_a_share_that_is_none_shows_the_form(codedose, tmp_path, arm):
    words = ["mix", "a", "b", "--arm", arm, "--budget", 1, "--math", 0, "--draws", 1, "--out", tmp_path]
    assert "NAME=SHARE" in refusal(codedose(*words), 2)


def test_a_result_that_cannot_be_written_is_one_clear_error(codedose, tmp_path):
    (tmp_path / "file").write_text("")
    words = ["items", "gsm8k", "--count", 1, "--level", 1, "--name", "x", "--out", tmp_path / "file" / "i.parquet"]
    told = codedose(*words)
    assert "i.parquet" in refusal(told, told.code)
    assert told.code in (2, 4)


# Ctrl-C


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(a_study, tmp_path):
    study = a_study()
    command = [*PROGRAM, "run", str(study)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert any("done" in line for line in process.stdout)  # up to the first step that is
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=9)
    assert process.returncode == 130
    assert errors.splitlines() == ["codedose: interrupted; the same command goes on"]
    left = subprocess.run([*PROGRAM, "status", str(study), "--json"], capture_output=True, text=True, check=True)
    state = json.loads(left.stdout)["steps"]
    assert sum(count["done"] for count in state.values()) > 0
    assert list((tmp_path / "store").glob("report/*")) == []

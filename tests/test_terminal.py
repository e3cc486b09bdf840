"""What strangers write reaches a terminal as words: no escape sequence, no right to left, no markup."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hostile import TEXTS
from hypothesis import given
from hypothesis import strategies as st

from codedose.cli.planned import tell
from codedose.cli.ran import tell_failures, tell_summary
from codedose.cli.show import Lines, as_json, as_table, plain, plain_lines, say_progress
from codedose.runner.place import open_store
from codedose.runner.schedule import Outcome
from codedose.runner.step import Step
from codedose.runner.tries import Failure

OBEYED = "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\x9b31m\u202eback\u202c\rover\x08\x7f\u2028"
SHOWN = (*TEXTS, OBEYED, "[red]markup[/red] [/nothing] [link=http://127.0.0.1:9/]x[/link]")


def is_inert(text: str) -> bool:
    """Whether nothing stands in it but signs that print, and ends of lines."""
    return all(line.isprintable() for line in text.split("\n"))


@given(st.text(st.characters()))
def test_plain_text_prints_and_keeps_what_prints(text: str) -> None:
    assert plain(text).isprintable()
    assert is_inert(plain_lines(text))
    assert [c for c in plain(text) if c != " "] == [c for c in text if c.isprintable() and c != " "]


@pytest.mark.parametrize("text", SHOWN, ids=range(len(SHOWN)))
def test_json_is_inert_and_says_the_same(capsys: pytest.CaptureFixture[str], text: str) -> None:
    as_json({"text": text, text: [text]})
    told = capsys.readouterr().out
    assert is_inert(told)
    assert json.loads(told) == {"text": text, text: [text]}


@pytest.mark.parametrize("text", SHOWN, ids=range(len(SHOWN)))
def test_tables_and_lines_are_inert(capsys: pytest.CaptureFixture[str], text: str) -> None:
    text = text[:500]
    as_table(f"title {text}", (text, "other"), [(text, 1), ("x", 2)])
    say_progress(1, 2, text)
    told = capsys.readouterr()
    assert is_inert(told.out)
    assert is_inert(told.err)
    first = plain(text).split()[0][:20]
    assert told.out.count(first) >= 3


def a_step(text: str) -> Step:
    return Step("tune", text, lambda *given: None, version=1)


@pytest.mark.parametrize("text", SHOWN, ids=range(len(SHOWN)))
def test_failed_steps_and_summaries_are_inert(capsys: pytest.CaptureFixture[str], tmp_path: Any, text: str) -> None:
    step = a_step(text[:50])
    failure = Failure(step, text, (text, text))
    tell_failures(open_store(tmp_path), Outcome(failed=[failure]))
    teller = Lines()
    teller.planned([step])
    teller.started(step)
    teller.ended(step, failure)
    study = SimpleNamespace(caution=text)
    tell_summary(SimpleNamespace(without={text}, study=study), [text], tmp_path / "report.html")  # type: ignore[arg-type]
    told = capsys.readouterr()
    assert is_inert(told.out)
    assert is_inert(told.err)
    assert plain(text) in told.out
    assert plain(text) in told.err


@pytest.mark.parametrize("command", ["plan", "status", "report"])
def test_a_hostile_study_is_told_inertly(codedose, a_study, command: str) -> None:
    whole = "".join(text for text in SHOWN if text.isprintable() or text == OBEYED)
    study = a_study({"question": whole, "caution": OBEYED, "pool.sources.0.licence": OBEYED})
    for words in ([], ["--json"]):
        told = codedose(command, study, *words)
        assert is_inert(told.out)
        assert is_inert(told.err)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("name", OBEYED),
        ("pool.sources.0.path", OBEYED),
        ("backbones.0.model", OBEYED),
        ("backbones.0.name", OBEYED),
        ("mix.arms.0.name", OBEYED),
        ("tasks.0.name", OBEYED),
        ("analyse.reading", OBEYED),
        (f"tune.{OBEYED.replace('.', '')}", 1),
    ],
)
@pytest.mark.parametrize("command", ["plan", "status", "report", "run"])
def test_what_is_wrong_with_a_hostile_study_is_told_inertly(codedose, a_study, command, place, value) -> None:
    told = codedose(command, a_study({place: value}))
    assert told.code != 0 or command in ("plan", "status")
    assert is_inert(told.out)
    assert is_inert(told.err)


def test_a_plan_of_hostile_names_is_told_inertly(codedose, a_study, capsys: pytest.CaptureFixture[str]) -> None:
    described = codedose("plan", a_study(), "--json").json
    for text in SHOWN:
        names = {name: [text] for name in ("backbones", "joined", "tasks", "missing")}
        why = [{"step": text, "why": text}]
        trained = {"trainings": {text: {text: text}}, "batches": {text: text}, "labelling": text, "why": why}
        tell({**described, **names, **trained, "question": text, "study": text, "arms": {text: 0.5}}, as_json=False)
        assert is_inert(capsys.readouterr().out)


def test_a_terminal_gets_rich_output_of_plain_words(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """In a terminal the only escape sequences are our own."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    as_table(f"title{OBEYED}", (f"a{OBEYED}", "b"), [(f"x{OBEYED}", 1)])
    told = capsys.readouterr().out
    assert "\x1b[" in told
    assert not [
        sign for sign in ("\x1b[31mred", "\x1b]", "\x1b[2J", "\x07", "\x08", "\x9b", "\u202e", "\r") if sign in told
    ]

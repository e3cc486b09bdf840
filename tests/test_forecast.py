"""What a training will take, from a few of its steps."""

import json

import pytest
from conftest import SMALL, changed
from hypothesis import given
from hypothesis import strategies as st
from test_tune import SETTINGS
from tiny import FAMILIES, write_backbone

from codedose.errors import MachineError
from codedose.tune.forecast import TRIED, forecast, line, made_up, size, spread_out, steps_of
from codedose.tune.means import Means
from codedose.tune.ready import ready


@given(st.floats(0, 10), st.floats(1e-6, 1), st.lists(st.integers(1, 5000), min_size=2, unique=True))
def test_a_step_is_a_fixed_time_and_one_for_its_tokens(fixed, a_token, tokens):
    found = line([(n, fixed + a_token * n) for n in tokens])
    assert [found[0] + found[1] * n for n in tokens] == pytest.approx([fixed + a_token * n for n in tokens], rel=1e-5)


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0.01, 10)), min_size=1))
def test_noise_never_makes_a_time_negative(points):
    assert min(line(points)) >= 0


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_the_steps_tried_reach_from_the_smallest_to_the_largest(sizes):
    steps = [made_up(1, n, 1) for n in sizes]
    chosen = [size(step) for step in spread_out(steps)]
    assert len(chosen) == TRIED
    assert chosen == sorted(chosen)
    assert (chosen[0], chosen[-1]) == (min(sizes), max(sizes))


@pytest.mark.long
def test_a_forecast_counts_every_token_of_every_epoch(tmp_path):
    family = next(family for family in FAMILIES if family.name == "Llama-2")
    folder = write_backbone(tmp_path / "tiny", family, layers=1, hidden=32)
    how = SETTINGS.model_copy(update={"epochs": 3})
    draws = [(made_up(8, 20, 10), None), (made_up(8, 30, 20), [0, 0, 0, 0, 0, 1, 1, 1])]
    short, long = forecast(folder, draws, how, threads=1, copies=1, means=Means(checkpointing=True))
    assert (short.tokens, long.tokens) == (3 * 8 * 20, 3 * 8 * 30)
    assert long.seconds >= short.seconds > 0
    assert short.memory == long.memory > 50e6
    assert len(steps_of(draws[1], how)) == 6


def test_a_context_too_short_for_the_longest_examples_is_refused(tmp_path):
    family = next(family for family in FAMILIES if family.name == "Llama-2")
    folder = write_backbone(tmp_path / "tiny", family, layers=1, hidden=32)
    with pytest.raises(MachineError, match=r"tune\.max_length is 4096, but the backbone's context holds 2048"):
        ready(folder, SETTINGS.model_copy(update={"max_length": 4096}), seed=0)


@pytest.mark.long
def test_a_plan_says_what_a_training_will_take(tmp_path, codedose):
    write_backbone(tmp_path / "tiny", FAMILIES[0], layers=1, hidden=32)
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(changed(SMALL, {"prompt.template": "vicuna"})))
    told = codedose("plan", path, "--calibrate", "--cores", 1, "--gpus", 0, "--json")
    assert told.code == 0, told.err
    (expects,) = told.json["trainings"]["tiny"].values()
    assert expects["tokens"] == 8 * 64  # the budget, of the longest length that is trained on
    assert expects["seconds"] > 0
    assert "training   tiny, each:" in codedose("plan", path, "--calibrate", "--cores", 1, "--gpus", 0).out

"""What the longest length takes from each arm: counted before anything is trained, refused where arms differ."""

import json
from functools import partial

import polars as pl
import pytest
from conftest import SMALL, changed
from hypothesis import given
from hypothesis import strategies as st
from tiny import FAMILIES, write_backbone

from codedose import tables
from codedose.backbone import load_tokenizer
from codedose.balance.lengths import lengths, refuse_unequal
from codedose.errors import DataError, StudyError
from codedose.prompt import encode


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lengths") / "tiny"
    write_backbone(folder, FAMILIES[0], layers=1, hidden=32)
    return folder


@pytest.fixture(scope="module")
def encoding(backbone):
    return partial(encode, tokenizer=load_tokenizer(backbone), template="vicuna", system=None)


def talk(*words: int) -> list[dict[str, str]]:
    """Exchanges whose replies have so many words."""
    asked = {"role": "user", "content": "say it"}
    return [part for n in words for part in (asked, {"role": "assistant", "content": "word " * n})]


def drawn(arms: dict[str, list[list[dict[str, str]]]], draw: int = 0) -> pl.DataFrame:
    rows = [
        {
            "arm": arm, "draw": draw, "slot": slot, "step": None, "example_id": f"{arm}-{slot}", "copy": 0,
            "label": "other", "messages": messages, "tokens": None, "loss_tokens": None,
        }
        for arm, talks in arms.items()
        for slot, messages in enumerate(talks)
    ]  # fmt: skip
    return tables.DRAWS.frame(rows)


TALKS = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=5)


@given(st.dictionaries(st.sampled_from("ABC"), TALKS, min_size=1), st.integers(40, 200))
def test_what_is_kept_and_what_is_cut_off_is_what_there_was(encoding, sizes, most):
    draws = drawn({arm: [talk(*words) for words in talks] for arm, talks in sizes.items()})
    for row in lengths(draws, encoding, backbone="tiny", max_length=most).iter_rows(named=True):
        messages = draws.filter(pl.col("arm") == row["arm"])["messages"].to_list()
        kept = [encoding(each, max_length=most) for each in messages]
        whole = [encoding(each, max_length=10_000) for each in messages]
        assert row["examples"] == len(messages)
        assert row["cut"] == sum(bool(each.cut) for each in kept)
        assert row["tokens"] == sum(len(each.tokens) for each in whole)
        assert row["tokens"] - row["tokens_cut"] == sum(len(each.tokens) for each in kept)
        assert row["loss_tokens"] - row["loss_tokens_cut"] == sum(each.loss_tokens for each in kept)


def test_arms_that_shrank_differently_are_refused_with_the_two_that_differ_most(encoding):
    draws = drawn({"General": [talk(5), talk(5)], "Half": [talk(5), talk(60)], "Code": [talk(60), talk(60)]}, draw=3)
    found = lengths(draws, encoding, backbone="tiny", max_length=60)
    shares = dict(found.select("arm", pl.col("tokens_cut") / pl.col("tokens")).iter_rows())
    apart = shares["Code"] - shares["General"]
    assert shares["General"] == 0 < shares["Half"] < shares["Code"]
    refuse_unequal(found, most=apart, max_length=60)
    with pytest.raises(StudyError, match=r"'Code' and 0.0% of 'General' in draw 3: .*tune.shrinkage.*redraw"):
        refuse_unequal(found, most=apart - 0.01, max_length=60)


def test_arms_of_different_draws_are_not_compared(encoding):
    apart = pl.concat([drawn({"A": [talk(5)]}), drawn({"A": [talk(60)]}, draw=1)])
    refuse_unequal(lengths(apart, encoding, backbone="tiny", max_length=60), most=0, max_length=60)


def test_an_example_that_cannot_be_trained_on_is_told_by_its_place(encoding):
    long = [{"role": "user", "content": "word " * 90}, {"role": "assistant", "content": "yes"}]
    with pytest.raises(DataError, match=r"arm 'A', draw 0, slot 1: a request alone is longer than max_length \(60"):
        lengths(drawn({"A": [talk(5), long]}), encoding, backbone="tiny", max_length=60)


@pytest.fixture
def study(tmp_path, backbone):
    def write(**more) -> str:
        settings = {"backbones.0.model": str(backbone), "mix.tokenizer": "tiny", "prompt.template": "vicuna"}
        settings |= {"mix.draws": 1, "tasks": SMALL["tasks"][:1]}
        path = tmp_path / "small.yaml"
        path.write_text(json.dumps(changed(SMALL, {**settings, **{f"tune.{name}": v for name, v in more.items()}})))
        return str(path)

    return write


@pytest.mark.long
def test_a_study_refuses_unequal_arms_before_it_trains_and_draws_again_where_it_is_told_to(study, codedose, tmp_path):
    store = tmp_path / "store"
    told = codedose("run", study(max_length=300, shrinkage=0.0), "--store", store, "--cores", 1)
    assert told.code
    assert "tune.shrinkage (0.0%) apart" in told.out + told.err
    assert not list(store.glob("tune/*"))
    told = codedose("run", study(max_length=300, shrinkage=0.0, over_long="redraw"), "--store", store, "--cores", 1)
    assert told.code == 0, told.out + told.err
    trained = pl.read_parquet(list(store.glob("lengths/*/lengths.parquet")))
    assert trained.height == 2
    assert trained["cut"].sum() == 0
    assert pl.read_parquet(list(store.glob("tune/*/drops.parquet"))).is_empty()
    page = next(store.glob("report/*/report.html")).read_text()
    assert "what the longest length cut off" in page
    assert "examples were passed over in every arm, such as one because it is longer than max_length" in page

"""The audit: a blind file that spreadsheets do no harm to, and figures that hold for the whole pool."""

import csv
import io
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from codedose import tables
from codedose.errors import DataError, StudyError
from codedose.label.audit import Audit, audit, true_share
from codedose.label.hand import (
    HAND,
    LONGEST_OPENING,
    allocate,
    choose,
    harmless,
    read_audit,
    read_ticket,
    ticket,
    write_audit,
)

LABELS = tables.LABELS
HARD = "=cmd|' /C calc'!A0"


def pool(sizes: Mapping[str, int], *, unsure: float = 0.0) -> pl.DataFrame:
    """A table of labels: so many of each, the first part of each with a low confidence."""
    rows = [
        (f"{label[0]}{number:05}", label, "model", 0.5 if number < unsure * size else 0.97, 0.0)
        for label, size in sizes.items()
        for number in range(size)
    ]
    return pl.DataFrame(rows, schema=dict(tables.LABELLED.columns), orient="row")


def conversations(labels: pl.DataFrame, text: str = "Hello.") -> pl.DataFrame:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]
    return labels.select("example_id", messages=pl.Series([messages] * labels.height, dtype=tables.MESSAGES))


def filled(labels: pl.DataFrame, count: int, truth: Mapping[str, str], name: str = "audit") -> pl.DataFrame:
    """The hand labels that somebody who knows the truth gives to a sample."""
    chosen = choose(labels, count, name=name)
    hand = [truth[example_id] for example_id in chosen["example_id"]]
    return chosen.select(
        "example_id",
        pl.Series("hand", hand, pl.String),
        "weight",
        stratum=pl.col("stratum").rank("dense").cast(pl.Int64),
        row=pl.int_range(2, pl.len() + 2, dtype=pl.Int64),
    )


def written(tmp_path: Path, labels: pl.DataFrame, count: int = 12, text: str = "Hello.", characters: int = 200) -> Path:
    path = tmp_path / "audit.csv"
    write_audit(conversations(labels, text), labels, path, count=count, characters=characters, name="audit")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))


def fill(path: Path, hand: list[str], **changes: list[str]) -> Path:
    """What a person does with the file, and a spreadsheet with it on the way."""
    rows = rows_of(path)
    for row, word in zip(rows, hand, strict=False):
        row["hand"] = word
    for column, values in changes.items():
        for row, value in zip(rows, values, strict=False):
            row[column] = value
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    return path


# --- the sample


@given(st.dictionaries(st.sampled_from("abcdefghi"), st.integers(1, 500), min_size=1), st.integers(0, 3000))
def test_a_sample_is_of_the_size_asked_and_reads_every_stratum(sizes, extra):
    least = sum(min(size, 2) for size in sizes.values())
    count = min(least + extra, sum(sizes.values()))
    taken = allocate(count, sizes)
    assert sum(taken.values()) == count
    assert all(min(2, size) <= taken[name] <= size for name, size in sizes.items())
    by_size = sorted(sizes, key=lambda name: sizes[name])
    assert all(taken[a] <= taken[b] + (sizes[a] == sizes[b]) for a, b in pairwise(by_size))


def test_rare_labels_and_unsure_ones_are_read_more_often_than_their_share():
    labels = pool({"coding": 3000, "math": 200, "other": 6800}, unsure=0.1)
    chosen = choose(labels, 200, name="audit")
    shares = dict(chosen.group_by("label").len().rows())
    assert shares["math"] > 200 * 200 / 10000 * 2
    unsure = chosen.filter(pl.col("stratum").str.contains("below")).height
    assert unsure > 200 * 0.1 * 2


def test_weights_sum_to_the_pool_in_every_stratum():
    labels = pool({"coding": 300, "math": 20, "other": 680}, unsure=0.1)
    chosen = choose(labels, 97, name="audit")
    assert chosen["example_id"].n_unique() == 97
    sums = dict(chosen.group_by("label").agg(pl.col("weight").sum()).rows())
    assert sums == pytest.approx({"coding": 300, "math": 20, "other": 680})


def test_the_sample_belongs_to_its_name_and_not_to_the_order_of_the_table():
    labels = pool({"coding": 300, "math": 20, "other": 680})
    assert choose(labels, 50, name="a").equals(choose(labels.sample(fraction=1, shuffle=True, seed=1), 50, name="a"))
    assert set(choose(labels, 50, name="a")["example_id"]) != set(choose(labels, 50, name="b")["example_id"])


@pytest.mark.parametrize(("count", "says"), [(1001, "more than the 1000"), (5, "3 strata need 6")])
def test_a_sample_that_cannot_be_says_why(count, says):
    with pytest.raises(DataError, match=says):
        choose(pool({"coding": 300, "math": 20, "other": 680}), count, name="audit")


# --- the file


def test_the_file_is_blind(tmp_path):
    """Nothing in a row tells its label: no column, no order, and no two tickets of a stratum alike."""
    labels = pool({"coding": 300, "math": 20, "other": 680})
    labels = labels.with_columns(pl.col("example_id").hash(7).cast(pl.String))
    rows = rows_of(written(tmp_path, labels, 60))
    assert list(rows[0]) == ["example_id", "opening", "hand", "ticket"]
    assert {row["hand"] for row in rows} == {""}
    assert len({row["ticket"] for row in rows}) == 60
    assert len({len(row["ticket"]) for row in rows}) == 1
    known = dict(labels.select("example_id", "label").rows())
    told = [known[row["example_id"].removeprefix("'")] for row in rows]
    assert told != sorted(told)


@given(
    st.text(st.characters(codec="utf-8")) | st.sampled_from([HARD, "+1", "-1", "@x", "\t=1", "＝1", "12e456", "1,5"])
)
def test_no_cell_is_a_formula_or_a_number(text):
    cell = harmless(text)
    assert not cell.lstrip()[:1] or cell.lstrip()[0] not in "=+-@＝＋－＠"
    if re.search("[0-9]", cell) and "_" not in cell:  # what spreadsheets call a number
        with pytest.raises(ValueError):
            float(cell)
    assert text in (cell, cell[1:])


def test_a_hostile_conversation_is_one_harmless_cell(tmp_path):
    labels = pool({"coding": 3, "math": 3, "other": 3})
    text = f'{HARD}\r\n";=1+1;"\x00\x1b[2J,\r' + "x" * 100_000
    rows = rows_of(written(tmp_path, labels, 9, text, characters=300))
    assert len(rows) == 9
    for row in rows:
        assert row["opening"].startswith("user: =cmd")
        assert len(row["opening"]) <= 301
        assert "\x00" not in row["opening"]
        assert "\x1b" not in row["opening"]
    with pytest.raises(StudyError, match="characters"):
        write_audit(labels, labels, tmp_path / "b", count=9, characters=LONGEST_OPENING + 1, name="audit")


@given(st.text(min_size=1), st.integers(0, 255), st.floats(1, 1e9))
def test_a_ticket_holds_its_weight_and_fits_no_other_example(example_id, stratum, weight):
    made = ticket(example_id, stratum, weight)
    assert read_ticket(example_id, made) == (stratum, weight)
    assert read_ticket(example_id + "x", made) is None
    assert read_ticket(example_id, made[:-1]) is None


@given(st.text())
def test_no_ticket_breaks_the_reader(written):
    read_ticket("e", written)


@pytest.mark.parametrize("example_id", ["123456789012", "12e456789012", "'quoted", "=1+1", "a1b2"])
def test_an_id_comes_back_as_it_was(tmp_path, example_id):
    labels = pool({"other": 1}).with_columns(example_id=pl.lit(example_id))
    hand = read_audit(fill(written(tmp_path, labels, 1), ["Other "]))
    assert hand.select("example_id", "hand", "weight").rows() == [(example_id, "other", 1.0)]


def test_hand_labels_are_never_written_over(tmp_path):
    labels = pool({"coding": 5, "other": 5})
    path = fill(written(tmp_path, labels, 4), ["coding"])
    with pytest.raises(DataError, match="is there already"):
        written(tmp_path, labels, 4)
    assert read_audit(path)["hand"].to_list() == ["coding", None, None, None]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_file_is_read_as_spreadsheets_write_it(tmp_path, encoding, sign):
    path = tmp_path / "hand.csv"
    lines = [
        ["Hand", "Example_ID ", "note"],
        ["CODING", "e1", "ja, schön"],
        ["", "e2"],
        [],
        [" ", "", ""],
        ["math", "e3"],
    ]
    text = "\r\n".join(sign.join(f'"{cell}"' for cell in line) for line in lines)
    path.write_bytes(text.encode(encoding))
    assert read_audit(path).rows() == [
        ("e1", "coding", None, None, 2),
        ("e2", None, None, None, 3),
        ("e3", "math", None, None, 6),
    ]


def test_every_wrong_row_is_named_at_once(tmp_path):
    labels = pool({"coding": 10, "other": 10})
    path = written(tmp_path, labels, 12)
    ids = [row["example_id"] for row in rows_of(path)]
    hand = ["coding", "code", "?", "math"] + [""] * 8
    tickets = [row["ticket"] for row in rows_of(path)]
    tickets[5] = "t1234"
    fill(path, hand, example_id=[*ids[:3], ids[0], *ids[4:11], ""], ticket=tickets)
    with pytest.raises(DataError) as raised:
        read_audit(path)
    said = str(raised.value)
    assert "rows 3, 4 with a label that is none of coding, math, other" in said
    assert "row 5 with an example for the second time" in said
    assert "row 13 without an example_id" in said
    assert "rows 5, 7, 13 without the ticket that was made for it" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"a,b\n1,2\n", b'example_id,hand\n"' + b"x" * 200_000, b"\xff\xfe\x00"]
)
def test_another_file_is_one_sentence(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.csv"):
        read_audit(tmp_path / "x.csv")
    with pytest.raises(DataError, match="no such file"):
        read_audit(tmp_path / "y.csv")


@given(st.binary())
def test_no_file_raises_anything_but_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("hand") / "x.csv"
    for start in (b"", b"example_id,hand\n", b"example_id,hand,ticket\n"):
        path.write_bytes(start + content)
        with suppress(DataError):
            read_audit(path)


# --- the figures


def truth_of(
    labels: pl.DataFrame, errors: Mapping[str, tuple[float, float, float]], rng: np.random.Generator
) -> dict[str, str]:
    """What each example really is: per label the chances of coding, math and other; unsure ones err thrice as often."""
    truth = {}
    for example_id, label, confidence in labels.select("example_id", "label", "confidence").iter_rows():
        chances = np.array(errors[label])
        if confidence < 0.7:
            own = LABELS.index(label)
            chances = np.where(np.arange(3) == own, 0, chances * 3)
            chances[own] = 1 - chances.sum()
        truth[example_id] = LABELS[rng.choice(3, p=chances)]
    return truth


ERRORS = {"coding": (0.94, 0.01, 0.05), "math": (0.02, 0.90, 0.08), "other": (0.03, 0.02, 0.95)}


def real_figures(labels: pl.DataFrame, truth: Mapping[str, str], nominal: float) -> dict[str, float]:
    """The figures of the whole pool, counted."""
    said = labels["label"].to_list()
    real = [truth[example_id] for example_id in labels["example_id"]]
    pairs = list(zip(said, real, strict=True))
    among = {
        label: {hand: sum(pair == (label, hand) for pair in pairs) / said.count(label) for hand in LABELS}
        for label in LABELS
    }
    coding = nominal * among["coding"]["coding"] + (1 - nominal) * among["other"]["coding"]
    maths = nominal * among["coding"]["math"] + (1 - nominal) * among["other"]["math"]
    return {
        "accuracy": sum(a == b for a, b in pairs) / len(pairs),
        "kappa": cohens_kappa([[pairs.count((a, b)) for b in LABELS] for a in LABELS]).kappa,
        "ppv": pairs.count(("coding", "coding")) / said.count("coding"),
        "npv": sum(b != "coding" for a, b in pairs if a != "coding") / sum(a != "coding" for a in said),
        "recall": pairs.count(("math", "math")) / real.count("math"),
        "f1": 2 * pairs.count(("coding", "coding")) / (said.count("coding") + real.count("coding")),
        "share": coding / (1 - maths),
    }


def measured(result: Audit, nominal: float) -> dict[str, object]:
    return {
        "accuracy": result.accuracy,
        "kappa": result.kappa,
        "ppv": result.ppv,
        "npv": result.npv,
        "recall": result.classes["math"].recall,
        "f1": result.classes["coding"].f1,
        "share": true_share(nominal, result),
    }


def test_reading_the_whole_pool_gives_the_pools_own_figures():
    labels = pool({"coding": 300, "math": 60, "other": 640}, unsure=0.1)
    truth = truth_of(labels, ERRORS, np.random.default_rng(3))
    result = audit(labels, filled(labels, labels.height, truth))
    real = real_figures(labels, truth, 0.4)
    for name, found in measured(result, 0.4).items():
        assert found.value == pytest.approx(real[name]), name
        assert found.low < real[name] < found.high, name


@given(st.floats(0, 1), st.floats(0, 0.9))
def test_perfect_labels_change_nothing(nominal, maths):
    labels = pool({"coding": 50, "math": 20, "other": 80})
    result = audit(labels, filled(labels, 60, dict(labels.select("example_id", "label").rows())))
    assert result.ppv.value == result.npv.value == result.accuracy.value == result.kappa.value == 1
    assert result.ppv.low < 1 == result.ppv.high
    for share in (true_share(nominal, result), true_share(nominal, result, labelled_math=maths)):
        if share.value is not None:  # an arm of math alone has none
            assert share.value == pytest.approx(nominal)
            assert share.low <= nominal + 1e-12
            assert share.high >= nominal - 1e-12


def test_labels_by_the_toss_of_a_coin_make_all_arms_alike():
    labels = pool({"coding": 500, "other": 500})
    truth = dict(zip(labels["example_id"], ["coding", "other"] * 500, strict=True))
    result = audit(labels, filled(labels, 1000, truth))
    assert true_share(0.0, result).value == pytest.approx(0.5)
    assert true_share(1.0, result).value == pytest.approx(0.5)
    assert result.kappa.value == pytest.approx(0, abs=1e-9)


def test_a_plain_proportion_has_wilsons_interval():
    """One stratum a label: PPV, NPV of two labels and precision are k of n, as in statsmodels."""
    labels = pool({"coding": 400, "other": 600})
    truth = truth_of(labels, {**ERRORS}, np.random.default_rng(5))
    hand = filled(labels, 200, truth)
    result = audit(labels, hand)
    said = hand.join(labels, on="example_id")
    for label, found in (("coding", result.ppv), ("other", result.npv)):
        own = said.filter(pl.col("label") == label)["hand"]
        right = (own == "coding").sum() if label == "coding" else (own != "coding").sum()
        assert (found.low, found.high) == pytest.approx(proportion_confint(right, own.len(), method="wilson"))
        assert found.n == own.len()


def test_the_true_share_is_what_the_definition_says():
    """40 labelled coding: 30 are, 5 math, 5 other. 40 labelled other: 2 coding, 4 math, 34 other. Counted by hand."""
    labels = pool({"coding": 40, "other": 40})
    hands = ["coding"] * 30 + ["math"] * 5 + ["other"] * 5 + ["coding"] * 2 + ["math"] * 4 + ["other"] * 34
    result = audit(labels, filled(labels, 80, dict(zip(labels["example_id"], hands, strict=True))))
    assert true_share(1.0, result).value == pytest.approx(30 / 35)
    assert true_share(0.0, result).value == pytest.approx(2 / 36)
    assert true_share(0.5, result).value == pytest.approx(32 / 71)
    with pytest.raises(ValueError, match="between 0 and 1"):
        true_share(1.5, result)


def test_only_filled_rows_count_and_the_rest_is_told(tmp_path):
    """Half of the unsure ones unread: they still stand for all unsure ones, and the pool's accuracy does not move."""
    labels = pool({"coding": 100, "other": 100}, unsure=0.5)
    truth = {
        i: label if c > 0.7 else "math" for i, label, c in labels.select("example_id", "label", "confidence").rows()
    }
    hand = filled(labels, 200, truth)
    unread = pl.col("hand").eq("math") & (pl.int_range(pl.len()).over("hand") % 2 == 0)
    half = hand.with_columns(pl.when(unread).then(None).otherwise("hand").alias("hand"))
    assert half["hand"].null_count() == 50
    result = audit(labels, half)
    assert (result.n, result.unfilled) == (150, 50)
    assert result.accuracy.value == pytest.approx(audit(labels, hand).accuracy.value)


def test_hand_labels_without_tickets_are_weighted_by_label():
    labels = pool({"coding": 100, "other": 900})
    ids = [f"c{n:05}" for n in range(20)] + [f"o{n:05}" for n in range(20)]
    hands = ["coding"] * 16 + ["other"] * 4 + ["other"] * 20
    rows = [(i, h, None, None, n) for n, (i, h) in enumerate(zip(ids, hands, strict=True))]
    hand = pl.DataFrame(rows, schema=HAND, orient="row")
    result = audit(labels, hand)
    assert result.accuracy.value == pytest.approx(0.1 * 0.8 + 0.9 * 1.0)


def test_a_sample_drawn_for_one_labeller_measures_another():
    """The weights belong to the sample: with all of the pool read, another labeller's figures come out exactly."""
    labels = pool({"coding": 300, "math": 60, "other": 640}, unsure=0.1)
    rng = np.random.default_rng(7)
    truth = truth_of(labels, ERRORS, rng)
    other = labels.with_columns(label=pl.Series(rng.permutation(labels["label"].to_numpy()), dtype=pl.String))
    result = audit(other, filled(labels, labels.height, truth))
    real = real_figures(other, truth, 0.4)
    for name, found in measured(result, 0.4).items():
        assert found.value == pytest.approx(real[name]), name


def test_what_is_undefined_is_null_with_its_reason():
    labels = pool({"coding": 20, "math": 20, "other": 20})
    hand = filled(labels, 60, dict(labels.select("example_id", "label").rows()))
    no_math = audit(labels, hand.with_columns(pl.when(pl.col("hand") != "math").then("hand").alias("hand")))
    assert no_math.accuracy.value is None
    assert no_math.accuracy.note == "no example labelled math was labelled by hand"
    assert no_math.ppv.value == 1
    assert true_share(0.5, no_math).value == pytest.approx(0.5)
    no_coding = audit(pool({"other": 20}), hand.filter(pl.col("example_id").str.starts_with("o")))
    assert no_coding.ppv.value is None
    assert no_coding.classes["coding"].recall.note
    assert no_coding.kappa.value is None
    assert true_share(1.0, no_coding).note == "no example is labelled coding"
    assert no_coding.table().filter(pl.col("value").is_null())["note"].str.len_chars().min() > 0


def test_hand_labels_of_another_pool_are_refused():
    labels = pool({"coding": 20, "other": 20})
    hand = filled(labels, 40, dict(labels.select("example_id", "label").rows()))
    with pytest.raises(DataError, match=r"rows .* no such example"):
        audit(labels.head(30), hand)
    with pytest.raises(DataError, match="no hand label is filled in"):
        audit(labels, hand.with_columns(hand=pl.lit(None, pl.String)))
    with pytest.raises(DataError, match="'poetry', which is none of"):
        audit(labels.with_columns(label=pl.lit("poetry")), hand)


def test_the_order_of_rows_changes_nothing():
    labels = pool({"coding": 300, "math": 60, "other": 640}, unsure=0.1)
    hand = filled(labels, 150, truth_of(labels, ERRORS, np.random.default_rng(3)))
    shuffled = audit(labels.reverse(), hand.sample(fraction=1, shuffle=True, seed=2))
    assert shuffled.table().equals(audit(labels, hand).table())


@pytest.mark.long
def test_estimates_are_unbiased_and_intervals_cover():
    """600 audits of 250 of a pool of 6,000: means within 3.5 standard errors (ratios of estimates: and one point of
    small-sample bias), and 95 % intervals that hold the truth no less often than chance allows at 95 %."""
    labels = pool({"coding": 1800, "math": 360, "other": 3840}, unsure=0.1)
    truth = truth_of(labels, ERRORS, np.random.default_rng(11))
    real = real_figures(labels, truth, 0.5)
    runs = 600
    found = [measured(audit(labels, filled(labels, 250, truth, f"run {number}")), 0.5) for number in range(runs)]
    for name, value in real.items():
        values = np.array([one[name].value for one in found])
        covered = sum(one[name].low <= value <= one[name].high for one in found)
        error = values.std(ddof=1) / runs**0.5
        biased = name in ("recall", "f1", "kappa", "share")  # ratios of estimates
        assert abs(values.mean() - value) <= 3.5 * error + (0.01 if biased else 0), name
        assert covered >= binom.ppf(0.001, runs, 0.95), (name, covered / runs)


def test_importing_the_labeller_loads_no_statistics():
    script = "import sys, codedose.label.audit; print('scipy' in sys.modules, 'httpx2' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]

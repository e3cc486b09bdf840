"""Scores: one verdict per reply and reading, and errors that name what does not fit."""

import polars as pl
import pytest

from codedose.errors import DataError, StudyError
from codedose.score import read_replies, score, score_in_cell, score_replies
from codedose.tables import COMPLETIONS, ITEMS, SCORES, check
from codedose.tasks import task_named
from codedose.tasks.twins import generated, item_id_of

CELL = {
    "cell": "smol-code-0-0", "backbone": "smol", "family": "smollm2", "scale": 0.135, "arm": "Code", "share": 1.0,
    "measured_dose": 0.9, "draw": 0, "seed": 0,
}  # fmt: skip


def asked(name="coin_flip", count=6) -> pl.DataFrame:
    return generated(task_named(name), seed_name="score", level=1, count=count)


def replied(items: pl.DataFrame, text="Answer: {}", forced=" {}.", finish="stop", sample=0) -> pl.DataFrame:
    return COMPLETIONS.frame(
        [
            {
                "cell": CELL["cell"],
                "item_id": item_id,
                "sample": sample,
                "prompt_hash": "0",
                "text": text.format(answer),
                "n_tokens": 4,
                "finish": finish,
                "forced_text": forced and forced.format(answer),
            }
            for item_id, answer in items.select("item_id", "answer").rows()
        ]
    )


def counts(scores: pl.DataFrame) -> dict[tuple[str, str], int]:
    return {row[:2]: row[2] for row in scores.group_by("reading", "outcome").len().rows()}


@pytest.mark.parametrize("name", ["first_letters", "reverse_list", "coin_flip", "clutrr", "prontoqa", "gsm8k"])
def test_right_replies_are_right_under_every_reading(name):
    items = asked(name)
    scores = score(replied(items), items, cell=CELL)
    assert check(scores, SCORES).equals(scores)
    assert counts(scores) == {("strict", "right"): 6, ("lenient", "right"): 6, ("forced", "right"): 6}


def test_there_is_one_row_for_each_reply_and_reading():
    items = asked()
    completions = pl.concat([replied(items), replied(items, text="Answer: yes", sample=1)])
    scores = score(completions, items, cell=CELL)
    assert scores.height == scores.select("item_id", "sample", "reading").n_unique() == 2 * 6 * 3
    strict = scores.filter(pl.col("reading") == "strict", pl.col("sample") == 1)
    assert counts(strict) == {("strict", "right"): 3, ("strict", "wrong"): 3}


def test_each_score_carries_its_cell_and_its_item():
    items = asked("gsm8k", 3)
    scores = score(replied(items), items, cell=CELL)
    assert scores.select(list(CELL)).unique().rows(named=True) == [CELL]
    shared = ["task", "domain", "origin", "level", "item_id", "cluster"]
    assert scores.select(shared).unique(maintain_order=True).rows() == items.select(shared).rows()


def test_an_untuned_backbone_has_no_share_draw_or_seed():
    items = asked()
    untuned = CELL | {"arm": "untuned", "share": None, "measured_dose": None, "draw": None, "seed": None}
    scores = score(replied(items), items, cell=untuned)
    assert scores["draw"].null_count() == scores["share"].null_count() == scores.height


def test_a_cut_reply_is_truncated_and_still_read_when_forced():
    items = asked("gsm8k")
    scores = score(replied(items, text="Then 3 and", finish="length"), items, cell=CELL)
    assert counts(scores) == {("strict", "truncated"): 6, ("lenient", "truncated"): 6, ("forced", "right"): 6}


def test_a_reply_that_was_not_forced_has_no_forced_answer():
    items = asked()
    scores = score(replied(items, forced=None), items, cell=CELL)
    assert counts(scores)["forced", "no_answer"] == 6


def test_the_order_of_the_items_does_not_matter():
    items = asked("clutrr")
    assert score(replied(items), items, cell=CELL).equals(score(replied(items), items.reverse(), cell=CELL))


def test_no_replies_give_no_scores():
    items = asked()
    assert score(COMPLETIONS.frame([]), items, cell=CELL).equals(SCORES.frame([]))


@pytest.mark.parametrize(
    ("completions", "items", "said"),
    [
        (lambda c: c, lambda i: i[1:], "1 completions answer items that are not in the items table"),
        (lambda c: pl.concat([c, c[:1]]), lambda i: i, "1 reply to one item and sample"),
        (lambda c: c, lambda i: pl.concat([i, i[:2]]), "2 item"),
        (lambda c: c.with_columns(cell=pl.lit("other")), lambda i: i, "of the cell 'other'"),
        (lambda c: c.drop("text"), lambda i: i, "lacks the column"),
    ],
)
def test_what_does_not_fit_is_named(completions, items, said):
    whole = asked()
    with pytest.raises(DataError, match=said):
        score(completions(replied(whole)), items(whole), cell=CELL)


def test_an_item_of_an_unknown_task_is_refused_with_the_nearest_name():
    items = check(asked().with_columns(task=pl.lit("coin_flips")), ITEMS)
    with pytest.raises(StudyError, match="'coin_flip'"):
        score(replied(items), items, cell=CELL)


REPLIES = pl.DataFrame(
    {
        "task": ["gsm8k", "coin_flip"],
        "question": ["How many?", "Heads?"],
        "answer": ["18", "no"],
        "text": ["```python\nprint(9 * 2)\n```\nIt prints 18", "Answer: yes"],
        "note": ["kept", "too"],
    }
)


def test_plain_replies_are_scored_without_a_study():
    scored = score_replies(REPLIES)
    assert scored.select("note", "reading", "read", "outcome", "in_code").rows() == [
        ("kept", "strict", None, "no_answer", True),
        ("kept", "lenient", "18", "right", True),
        ("too", "strict", "yes", "wrong", False),
        ("too", "lenient", "yes", "wrong", False),
    ]


def test_plain_replies_use_forced_text_and_finish_where_they_are_there():
    scored = score_replies(
        REPLIES.with_columns(forced_text=pl.Series([" 18 apples", None]), finish=pl.Series(["length", None]))
    )
    assert scored.select("reading", "outcome").rows() == [
        ("strict", "truncated"),
        ("lenient", "truncated"),
        ("forced", "right"),
        ("strict", "wrong"),
        ("lenient", "wrong"),
        ("forced", "no_answer"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": pl.Series(["18", ""])}, "row 2: answer is empty"),
        ({"text": pl.Series([None, "x"], dtype=pl.String)}, "row 1: text is empty or not text"),
        ({"finish": pl.Series(["stop", "done"])}, "row 2: finish is 'done'"),
    ],
)
def test_a_bad_row_is_named(change, said):
    with pytest.raises(DataError, match=said):
        score_replies(REPLIES.with_columns(**change))


def test_a_gold_of_another_type_is_named_with_its_row():
    with pytest.raises(DataError, match=r"^row 1: 'maybe'"):
        score_replies(REPLIES.with_columns(answer=pl.lit("maybe")))
    with pytest.raises(DataError, match=r"^row 2: '5 or 6'.*several numbers"):
        score_replies(REPLIES.with_columns(task=pl.lit("gsm8k"), answer=pl.Series(["18", "5 or 6"])))


def test_an_unknown_task_is_named_with_its_row_and_the_nearest():
    with pytest.raises(DataError, match=r"^row 2: there is no task 'coinflip'; did you mean 'coin_flip'"):
        score_replies(REPLIES.with_columns(task=pl.Series(["gsm8k", "coinflip"])))


def test_a_scored_table_is_no_table_of_replies():
    with pytest.raises(DataError, match=r"column\(s\) reading, read, outcome, in_code of verdicts"):
        score_replies(score_replies(REPLIES))


def test_half_a_surrogate_pair_in_a_reply_is_still_a_reply(tmp_path):
    path = tmp_path / "replies.jsonl"
    path.write_text(r'{"task": "gsm8k", "question": "How many?", "answer": "18", "text": "\ud83d Answer: 18"}')
    assert score_replies(read_replies(path))["outcome"].to_list() == ["no_answer", "right"]


def test_what_is_null_is_missing(tmp_path):
    path = tmp_path / "replies.jsonl"
    path.write_text('{"task": "gsm8k", "question": "How many?", "answer": null, "text": "18"}')
    with pytest.raises(DataError, match="row 1: answer is empty"):
        score_replies(read_replies(path))


def test_replies_and_items_of_plain_files_become_a_cell():
    scores, left_out = score_in_cell(REPLIES.with_columns(item_id=pl.lit("theirs")), cell=CELL)
    assert (scores.height, left_out) == (4, 0)
    assert scores["item_id"].unique(maintain_order=True).to_list() == [
        item_id_of(task_named(name), question) for name, question in REPLIES.select("task", "question").rows()
    ]


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"lack the column\(s\) answer"):
        score_replies(REPLIES.drop("answer"))


def test_an_empty_reply_is_a_reply_without_an_answer():
    scored = score_replies(REPLIES.with_columns(text=pl.lit("")))
    assert set(scored["outcome"]) == {"no_answer"}


def test_replies_are_read_from_json_lines_and_parquet_alike(tmp_path):
    REPLIES.write_ndjson(tmp_path / "replies.jsonl")
    REPLIES.write_parquet(tmp_path / "replies.parquet")
    assert read_replies(tmp_path / "replies.jsonl").equals(read_replies(tmp_path / "replies.parquet"))


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}\n{", "line 2: is not JSON"), ("[1]", "line 1: is not a JSON object"), ("\n", "holds no replies")],
)
def test_a_bad_file_of_replies_is_named(tmp_path, text, said):
    (tmp_path / "replies.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=f"replies.jsonl: {said}"):
        read_replies(tmp_path / "replies.jsonl")

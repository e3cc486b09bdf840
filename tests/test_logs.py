"""Logs of lm-eval and inspect-ai: written here in the harnesses' own form, scored, and analysed as cells of a study."""

import io
import json
import zipfile
import zlib

import polars as pl
import pytest
import zstandard

from codedose import logs, tables
from codedose.errors import DataError, StudyError
from codedose.logs import replies_of
from codedose.score import score_in_cell
from codedose.tasks import task_named
from codedose.tasks.official import official
from codedose.tasks.twins import item_id_of

QUESTIONS = {"How many is 9 times 2?": "9 * 2 = <<9*2=18>>18\n#### 18", "How many is 3 plus 4?": "3 + 4 = 7\n#### 7"}
STAMP = "2026-11-25T02-21-12.681477"
CELL = {
    "cell": "b/Code/d0/s0", "backbone": "b", "family": "F", "scale": 7.0, "arm": "Code", "share": 1.0,
    "measured_dose": None, "draw": 0, "seed": 0,
}  # fmt: skip


def document(number, question, gold, texts, **change):
    """One line of an lm-eval sample log, without its filter."""
    asked = {"until": ["Question:"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 256}
    return {
        "doc_id": number,
        "doc": {"question": question, "answer": gold},
        "target": gold,
        "arguments": {"gen_args_0": {"arg_0": f"Question: {question}\nAnswer:", "arg_1": asked}},
        "resps": [texts],
        "filtered_resps": ["[invalid]"],
        "metrics": ["exact_match"],
        "doc_hash": "7fc9",
        "prompt_hash": "b9b3",
        "target_hash": "4ec9",
        "exact_match": 0.0,
    } | change


def lm_eval_log(folder, replies=(["Answer: 18", "It is 17."], ["Answer: 7", "7."]), *, task="gsm8k", **change):
    """A sample log as lm-eval 0.4.13 writes it: every document once per filter."""
    path = folder / f"samples_{task}_{STAMP}.jsonl"
    lines = [
        json.dumps(document(number, question, gold, texts, **change) | {"filter": name})
        for name in ("strict-match", "flexible-extract")
        for number, ((question, gold), texts) in enumerate(zip(QUESTIONS.items(), replies, strict=True))
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def sample(number, epoch, question, target, text, stop="stop", **change):
    """One sample of an inspect log."""
    message = {"id": "x", "content": text, "source": "generate", "role": "assistant", "model": "mockllm/model"}
    return {
        "id": number,
        "epoch": epoch,
        "input": question,
        "target": target,
        "messages": [{"id": "y", "content": question, "source": "input", "role": "user"}, message],
        "output": {
            "model": "mockllm/model",
            "choices": [{"message": message, "stop_reason": stop}],
            "completion": text,
        },
        "scores": {"match": {"value": "C", "answer": "18", "history": []}},
        "metadata": {},
        "store": {},
        "events": [],
        "attachments": {},
    } | change


SAMPLES = (
    sample(1, 1, "How many is 9 times 2?", "18", "Answer: 18"),
    sample("two", 1, "How many is 3 plus 4?", ["7", "seven"], "It is 7 and", stop="max_tokens"),
    sample(1, 2, "How many is 9 times 2?", "18", "Answer: 17"),
    sample("two", 2, "How many is 3 plus 4?", ["7", "seven"], [{"type": "text", "text": "Answer: 7"}]),
)
HEADER = {"version": 2, "status": "success", "eval": {"task": "inspect_evals/gsm8k", "model": "mockllm/model"}}


def inspect_log(folder, samples=SAMPLES, **header):
    path = folder / "2026-11-25T02-18-59-00-00_gsm8k_7phj.json"
    path.write_text(json.dumps(HEADER | header | {"samples": list(samples)}), encoding="utf-8")
    return path


def entries_of(samples):
    told = {f"samples/{each['id']}_epoch_{each['epoch']}.json": json.dumps(each).encode() for each in samples}
    return {"_journal/start.json": b"{}", **told, "summaries.json": b"[]", "header.json": json.dumps(HEADER).encode()}


def eval_log(folder, entries, *, packed=True, checksum=None):
    """An .eval log: a zip whose entries are compressed by zstandard (method 93), as inspect-ai writes them."""
    path = folder / "2026-11-25T02-18-59-00-00_gsm8k_7phj.eval"
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, zstandard.compress(data) if packed else data)
    raw = bytearray(stored.getvalue())
    if packed:
        with zipfile.ZipFile(stored) as archive:
            for entry in archive.infolist():
                mark(raw, entry, entries[entry.filename], checksum)
    path.write_bytes(bytes(raw))
    return path


def mark(raw, entry, data, checksum):
    """Write method 93, the size and the checksum of `data` into an entry's two headers."""
    directory = raw.rindex(b"PK\x01\x02", 0, raw.rindex(entry.filename.encode()))
    told = (checksum or zlib.crc32(data)).to_bytes(4, "little"), len(data).to_bytes(4, "little")
    for start, method, crc in ((entry.header_offset, 8, 14), (directory, 10, 16)):
        raw[start + method : start + method + 2] = (93).to_bytes(2, "little")
        raw[start + crc : start + crc + 4] = told[0]
        raw[start + crc + 8 : start + crc + 12] = told[1]


def outcomes(frame, reading="strict"):
    told = frame.filter(pl.col("reading") == reading).sort("question", "sample")
    return told["outcome"].to_list()


def test_lm_eval_documents_are_taken_once_whatever_the_filters(tmp_path):
    replies = replies_of([lm_eval_log(tmp_path)], "lm-eval", None)
    assert replies.select("question", "sample", "text").rows() == [
        ("How many is 9 times 2?", 0, "Answer: 18"),
        ("How many is 9 times 2?", 1, "It is 17."),
        ("How many is 3 plus 4?", 0, "Answer: 7"),
        ("How many is 3 plus 4?", 1, "7."),
    ]


@pytest.mark.parametrize("kind", ["json", "eval", "plain zip"])
def test_inspect_samples_are_read_from_json_and_from_zips_alike(tmp_path, kind):
    entries = entries_of(SAMPLES)
    path = inspect_log(tmp_path) if kind == "json" else eval_log(tmp_path, entries, packed=kind == "eval")
    replies = replies_of([path], "inspect", None).sort("question", "sample")
    assert replies.select("task", "text", "finish", "sample").rows() == [
        ("gsm8k", "It is 7 and", "length", 0),
        ("gsm8k", "Answer: 7", "stop", 1),
        ("gsm8k", "Answer: 18", "stop", 0),
        ("gsm8k", "Answer: 17", "stop", 1),
    ]


def test_an_inspect_question_may_be_messages_and_stand_among_the_attachments(tmp_path):
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "attachment://ab"}]
    whole = sample(1, 1, asked, "18", "attachment://cd", attachments={"ab": "How many?", "cd": "Answer: 18"})
    replies = replies_of([inspect_log(tmp_path, [whole])], "inspect", None)
    assert replies.select("question", "text").rows() == [("How many?", "Answer: 18")]


def test_items_have_the_same_names_as_the_projects_own(tmp_path):
    """So cells from logs, from other harnesses and from studies pair over items and share clusters."""
    (tmp_path / "items.jsonl").write_text(
        "\n".join(
            json.dumps({"id": str(place), "question": question, "answer": gold.rpartition("#### ")[2]})
            for place, (question, gold) in enumerate(QUESTIONS.items())
        )
    )
    items, _ = official(task_named("gsm8k"), tmp_path / "items.jsonl", count=None, seed_name="x")
    for harness, path in (("lm-eval", lm_eval_log(tmp_path)), ("inspect", inspect_log(tmp_path))):
        scores, left_out = score_in_cell(replies_of([path], harness, None), cell=CELL)
        assert left_out == 0
        named = scores.select("item_id", "cluster").unique().sort("item_id")
        assert named.equals(items.select("item_id", "cluster").sort("item_id"))
        assert set(scores["reading"]) == {"strict", "lenient"}


def test_a_question_that_stands_twice_in_a_log_counts_once(tmp_path):
    twice = [document(number, "How many?", "18", ["Answer: 18"]) for number in range(2)]
    path = tmp_path / f"samples_gsm8k_{STAMP}.jsonl"
    path.write_text("\n".join(map(json.dumps, twice)))
    scores, left_out = score_in_cell(replies_of([path], "lm-eval", None), cell=CELL)
    assert (scores.height, left_out) == (2, 1)


def test_two_logs_of_one_item_are_no_cell(tmp_path):
    (tmp_path / "again").mkdir()
    paths = [
        lm_eval_log(tmp_path),
        lm_eval_log(tmp_path / "again").rename(tmp_path / f"samples_gsm8k_{STAMP[:-1]}8.jsonl"),
    ]
    with pytest.raises(DataError, match="give the logs of one run"):
        score_in_cell(replies_of(paths, "lm-eval", None), cell=CELL)


def test_logs_of_two_arms_are_scored_and_analysed_from_the_command_line(tmp_path, codedose):
    scores = []
    for arm, share, gain in (("General", 0, 0), ("Code", 1, 1)):
        for draw in range(2):
            folder = tmp_path / f"{arm}{draw}"
            folder.mkdir()
            log = lm_eval_log(folder, (["Answer: 18"], [f"Answer: {6 + gain}"]), task="their_gsm8k")
            words = ["--from", "lm-eval", "--task", "gsm8k", "--backbone", "b", "--family", "F", "--scale", "7"]
            cell = ["--arm", arm, "--share", share, "--draw", draw, "--seed", 0]
            scores.append(folder / "scores.parquet")
            told = codedose("score", log, *words, *cell, "--out", scores[-1], "--json")
            assert told.code == 0
    told = codedose("analyse", *scores, "--out", tmp_path / "effects.parquet", "--json")
    assert told.code == 0
    effects = tables.read(tmp_path / "effects.parquet", tables.EFFECTS)
    whole = effects.filter(
        pl.col("view") == "overall",
        pl.col("contrast") == "Code - General",
        pl.col("kind") == tables.DIFFERENCE,
        pl.col("family").is_null(),
    )
    assert dict(whole.select("reading", "estimate").rows()) == {"strict": 50.0, "lenient": 50.0}


def test_without_a_cell_the_logs_become_a_plain_scored_table(tmp_path, codedose):
    told = codedose("score", inspect_log(tmp_path), "--from", "inspect", "--out", tmp_path / "s.parquet", "--json")
    assert told.code == 0
    assert outcomes(pl.read_parquet(tmp_path / "s.parquet")) == ["truncated", "right", "right", "wrong"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "helm"], "lm-eval and inspect"),
        (["--from", "lm-eval", "--task", "gsm9k"], "'gsm8k'"),
        (["--task", "gsm8k"], "--task names the task of logs"),
        (["--from", "lm-eval", "--backbone", "b"], "--family"),
        (["--from", "lm-eval", "--backbone", "b", "--family", "F", "--scale", 1, "--share", 1], "--arm"),
    ],
)
def test_wrong_words_are_one_clear_error(tmp_path, codedose, words, said):
    told = codedose("score", lm_eval_log(tmp_path), *words, "--out", tmp_path / "s.parquet")
    assert told.code == 2
    assert said in told.err
    assert told.err.count("\n") == 1


def test_a_task_that_nobody_names_is_asked_for(tmp_path):
    path = lm_eval_log(tmp_path).rename(tmp_path / "log.jsonl")
    with pytest.raises(DataError, match="--task NAME"):
        replies_of([path], "lm-eval", None)
    assert replies_of([path], "lm-eval", "gsm8k").height == 4
    with pytest.raises(DataError, match=r"'gsm8k_mini'.*--task NAME"):
        replies_of([lm_eval_log(tmp_path, task="gsm8k_mini")], "lm-eval", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resps": [[["-1.2", "False"]]]}, "line 1: its replies are not texts"),
        ({"resps": "Answer: 18"}, "line 1: its replies are not texts"),
        ({"target": ""}, "line 1: its target is missing"),
        ({"target": None}, "line 1: its target is missing"),
        ({"target": "many"}, "line 1: 'many' is no answer"),
        ({"target": ["18", "19"]}, "line 1: its targets differ"),
        ({"doc": {"premise": "x"}}, "line 1: the document has no question"),
    ],
)
def test_a_line_of_lm_eval_that_is_none_is_named(tmp_path, change, said):
    with pytest.raises(DataError, match=f"jsonl: {said}"):
        replies_of([lm_eval_log(tmp_path, **change)], "lm-eval", None)


def test_one_document_with_two_replies_is_named(tmp_path):
    lines = [json.dumps(document(0, "How many?", "18", [text])) for text in ("Answer: 18", "Answer: 17")]
    path = tmp_path / f"samples_gsm8k_{STAMP}.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match="line 2: document 0 has other replies above"):
        replies_of([path], "lm-eval", None)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', "\x00\xff", "[" * 100_000, "not json at all"])
@pytest.mark.parametrize("harness", ["lm-eval", "inspect"])
@pytest.mark.parametrize("name", ["samples_gsm8k_2026-11-25T02-21-12.681477.jsonl", "log.json", "log.eval"])
def test_a_file_that_is_no_log_is_one_clear_error(tmp_path, text, harness, name):
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=str(tmp_path / name)):
        replies_of([tmp_path / name], harness, "gsm8k")


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.eval"):
        replies_of([tmp_path / "none.eval"], "inspect", None)
    with pytest.raises(StudyError, match="'helm'"):
        replies_of([tmp_path], "helm", None)


def test_a_sample_that_failed_is_no_wrong_answer(tmp_path):
    failed = sample(1, 1, "How many?", "18", "", error={"message": "ConnectionError"})
    failed["output"]["choices"] = []
    with pytest.raises(DataError, match=r"sample 1, epoch 1: failed in the run.*eval-retry"):
        replies_of([inspect_log(tmp_path, [failed])], "inspect", None)


@pytest.mark.parametrize("cut", [1, 50, 400, 2000])
def test_a_cut_off_zip_is_named(tmp_path, cut):
    path = eval_log(tmp_path, entries_of(SAMPLES))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match="cannot be unpacked"):
        replies_of([path], "inspect", None)


@pytest.mark.parametrize("packed", [True, False])
def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(logs, "LONGEST_LINE", 100_000)
    bomb = entries_of(SAMPLES) | {"samples/bomb_epoch_1.json": b" " * 10_000_000}
    with pytest.raises(DataError, match="unpacks to more than 100,000 bytes"):
        replies_of([eval_log(tmp_path, bomb, packed=packed)], "inspect", None)


def test_a_wrong_checksum_is_named(tmp_path):
    with pytest.raises(DataError, match="checksum"):
        replies_of([eval_log(tmp_path, entries_of(SAMPLES), checksum=1)], "inspect", None)


def test_half_a_surrogate_pair_does_not_stop_the_rest(tmp_path):
    replies = replies_of([lm_eval_log(tmp_path, (["\ud83d 18"], ["7"]))], "lm-eval", None)
    assert replies["text"].to_list() == ["? 18", "7"]


def test_a_task_of_letters_takes_its_gold_as_it_is(tmp_path):
    path = tmp_path / f"samples_last_letters_{STAMP}.jsonl"
    path.write_text(json.dumps(document(0, 'Take the last letters of "Bo An".', "on", ["Answer: on"])))
    replies = replies_of([path], "lm-eval", None)
    assert replies["answer"].to_list() == ["on"]
    assert item_id_of(task_named("last_letters"), replies["question"][0]).startswith("last_letters-")

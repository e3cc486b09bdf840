"""Sources of every shape end whole in examples and drops; what is no source is refused with one clear error."""

import gzip
import itertools
import json
import random
import tempfile
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from codedose import tables
from codedose.errors import DataError
from codedose.pool import clean, read, records
from codedose.study import Source

TALK = [
    ("user", "Which tree is tallest?"),
    ("assistant", "The coast redwood."),
    ("user", "Why?"),
    ("assistant", "Fog."),
]
TURNS = [{"role": role, "content": content} for role, content in TALK]
SHAREGPT = {"id": "a_0", "conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"}]}
OPENAI = {"id": "b", "messages": TURNS, "label": "other"}
ALPACA = {"instruction": "Add them.", "input": "2 and 3", "output": "5"}


def lines_of(*rows: object) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def read_one(tmp_path: Path, data: bytes, name: str = "pool.jsonl") -> tuple[pl.DataFrame, pl.DataFrame]:
    path = tmp_path / name
    path.write_bytes(data)
    return read.read(path, licence="MIT", name="mine")


def said(examples: pl.DataFrame) -> list[list[tuple[str, str]]]:
    return [[(m["role"], m["content"]) for m in messages] for messages in examples["messages"]]


# --- shapes


@pytest.mark.parametrize(
    ("record", "shape", "expected"),
    [
        (SHAREGPT, "sharegpt", [("user", "hello"), ("assistant", "hi")]),
        ({"items": SHAREGPT["conversations"]}, "sharegpt", [("user", "hello"), ("assistant", "hi")]),
        ({"conversations": TURNS}, "sharegpt", TALK),
        (OPENAI, "openai", TALK),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
            "openai",
            [("user", "a\nb")],
        ),
        (ALPACA, "alpaca", [("user", "Add them.\n\n2 and 3"), ("assistant", "5")]),
        (
            {
                "instruction": "And now?",
                "response": "7",
                "system": "Be brief.",
                "history": [["1+1", "2"], ["2+2", "4"]],
            },
            "alpaca",
            [
                ("system", "Be brief."),
                *[("user", "1+1"), ("assistant", "2"), ("user", "2+2"), ("assistant", "4")],
                *[("user", "And now?"), ("assistant", "7")],
            ],
        ),
    ],
)
def test_every_shape_gives_its_turns(tmp_path, record, shape, expected):
    assert read.detect(record) == shape
    examples, drops = read_one(tmp_path, lines_of(record))
    assert said(examples) == [expected]
    assert drops.is_empty()


@pytest.mark.parametrize("role", ["gpt", "assistant", "chatgpt", "bing", "bard", "GPT"])
def test_every_spelling_of_a_role_is_known(tmp_path, role):
    turns = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": role, "value": "a"}]
    examples, _ = read_one(tmp_path, lines_of({"conversations": turns}))
    assert said(examples) == [[("system", "s"), ("user", "q"), ("assistant", "a")]]


def test_containers_change_nothing(tmp_path):
    """JSON array, JSON lines, gz, zst (also of two frames) and a byte order mark hold the same conversations."""
    rows = [SHAREGPT, OPENAI, ALPACA]
    plain = lines_of(*rows)
    cut = plain.index(b"\n") + 5
    frames = b"".join(zstandard.compress(part) for part in (plain[:cut], plain[cut:]))
    wanted, _ = read_one(tmp_path, plain)
    for data in (
        json.dumps(rows, indent=1).encode(),
        b"\n\n " + json.dumps(rows).encode(),
        b"\xef\xbb\xbf" + plain,
        b"\n \n" + plain.replace(b"\n", b"\r\n\r\n"),
        gzip.compress(plain),
        frames,
    ):
        found, drops = read_one(tmp_path, data)
        assert found.drop("conversation_id").equals(wanted.drop("conversation_id"))
        assert drops.is_empty()


def test_parquet_holds_the_same_columns(tmp_path):
    path = tmp_path / "pool.parquet"
    pl.DataFrame({"id": [1, 2], "messages": [TURNS, TURNS[:2]], "label": ["math", "poetry"]}).write_parquet(path)
    examples, _ = read.read(path, licence="MIT", name="mine")
    assert said(examples) == [TALK, TALK[:2]]
    assert examples["conversation_id"].to_list() == ["1", "2"]
    assert examples["stated_label"].to_list() == ["math", None]


def test_a_folder_is_one_source(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines_of(SHAREGPT, OPENAI))
    (tmp_path / "b.json").write_bytes(json.dumps([ALPACA]).encode())
    (tmp_path / "notes.txt").write_text("not data")
    examples, _ = read.read(tmp_path, licence="MIT", name="mine")
    assert examples["position"].to_list() == [0, 1, 2]


def test_columns_say_what_was_read(tmp_path):
    examples, _ = read_one(tmp_path, lines_of(OPENAI))
    row = examples.drop("messages", "example_id").row(0, named=True)
    assert row == {
        "conversation_id": "b",
        "source": "mine",
        "licence": "MIT",
        "position": 0,
        "turns": 2,
        "chars": sum(len(content) for _, content in TALK),
        "lang": None,
        "stated_label": "other",
    }


# --- broken records and broken files


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"messages": [', "not one JSON record"),
        (b'{"text": "once upon a time"}', "no known shape (its keys: text)"),
        (b'["a", "b"]', "no known shape (it is a list)"),
        (b'{"messages": [{"role": "tool", "content": "42"}]}', "the role 'tool'"),
        (b'{"messages": [{"role": 7, "content": "42"}]}', "the role 7"),
        (b'{"messages": [{"role": "user", "content": null}]}', "not text"),
        (b'{"messages": [{"role": "user", "content": {"a": 1}}]}', "not text"),
        (b'{"messages": ["hello"]}', "not a mapping"),
        (b'{"messages": [{"role": "user", "content": "half a \\ud83d pair"}]}', "not text"),
        (b'{"messages": [{"role": "user", "content": "caf\xe9"}]}', "not text"),
        (b'{"instruction": "x", "output": 3}', "not text"),
        (b'{"instruction": "x", "output": "y", "history": [["only one"]]}', "history"),
        (b"[" * 100_000, "not one JSON record"),
        (b'{"id": ' + b"9" * 5000 + b', "messages": []}', "not one JSON record"),
    ],
)
def test_one_broken_record_is_dropped_with_its_reason(tmp_path, line, reason):
    examples, drops = read_one(tmp_path, lines_of(OPENAI) + b"\n" + line + b"\n" + lines_of(SHAREGPT))
    assert examples["position"].to_list() == [0, 2]
    assert drops["reference"].to_list() == ["line 2"]
    assert reason in drops["reason"][0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["is empty", "a record is"]),
        (b" \n\n \t", ["is empty"]),
        (b"[]", ["is empty"]),
        (b"\x7fELF\x00\x01\x02" * 100, ["binary data"]),
        (b"\xff\xfe\xfd garbage \x80\x81", ["line 1", "not one JSON record"]),
        (b"once upon a time", ["line 1", "not one JSON record"]),
        (b'{"text": "a"}\n{"text": "b"}', ["none of its 2 records", "line 1", "its keys: text", "ShareGPT"]),
        (b'[{"messages": []}, {"mess', ["line 1, column 21", "is the file whole?"]),
        (b"[" * 200_000, ["cannot be read"]),
        (b"PAR1 but not really", ["damaged Parquet"]),
        (gzip.compress(lines_of(*[OPENAI] * 50))[:-20], ["damaged", "fetch it again"]),
        (zstandard.compress(lines_of(*[OPENAI] * 50))[:-5], ["damaged", "fetch it again"]),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 50, ["damaged"]),
        (b"\x1f\x8b" + b"\xff" * 50, ["damaged"]),
    ],
)
def test_a_file_without_conversations_is_refused_by_name(tmp_path, data, words):
    with pytest.raises(DataError) as problem:
        read_one(tmp_path, data)
    for word in ["pool.jsonl", *words]:
        assert word in str(problem.value)


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl: there is no such file"):
        read.read(tmp_path / "nowhere.jsonl", licence="MIT", name="mine")
    with pytest.raises(DataError, match="cannot be read"):
        read.read(tmp_path / ("x" * 300), licence="MIT", name="mine")
    with pytest.raises(DataError, match="holds no file that ends in"):
        read.read(tmp_path, licence="MIT", name="mine")


def test_absurd_sizes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "LONGEST_LINE", 1000)
    with pytest.raises(DataError, match="line 2 is longer than 1,000 bytes"):
        read_one(tmp_path, lines_of(OPENAI, {"messages": "x" * 2000}))
    monkeypatch.setattr(records, "LARGEST_BOMB", 1_000_000)
    for compress in (gzip.compress, zstandard.compress):
        with pytest.raises(DataError, match="more than 50 times"):
            read_one(tmp_path, compress(b" " * 20_000_000))


def through_file(data: bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        return read_one(Path(folder), data)


@given(st.binary(max_size=400), st.sampled_from([bytes, gzip.compress, zstandard.compress]))
@settings(deadline=None, max_examples=100)
def test_no_bytes_raise_anything_else(data, compress):
    try:
        examples, drops = through_file(compress(data))
    except DataError:
        return
    assert examples.height + drops.height > 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
near_records = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("id", "label", "instruction", "input", "output", "response", "history", "system", "conversations"),
        json_values,
    )
    | {
        "messages": st.lists(
            st.fixed_dictionaries({}, optional=dict.fromkeys(("role", "from", "content", "value"), json_values))
        )
    },
)


@given(st.lists(json_values | near_records, max_size=6), st.booleans())
@settings(deadline=None, max_examples=100)
def test_every_record_is_in_examples_or_in_drops(values, as_array):
    whole = [*values, OPENAI]
    examples, drops = through_file(json.dumps(whole).encode() if as_array else lines_of(*whole))
    assert examples.height + drops.height == len(whole)
    assert sorted(examples["position"]) == examples["position"].to_list()


# --- rules

roles = st.sampled_from(["system", "user", "assistant"])
conversations = st.lists(
    st.fixed_dictionaries({"role": roles, "content": st.sampled_from(["", " \n", "a", "bb", "ccc ccc"])}), max_size=7
)


@pytest.mark.parametrize(
    ("roles_in", "roles_left"),
    [
        ("ua", "ua"),
        ("sua", "sua"),
        ("aua", "ua"),
        ("saaua", "sua"),
        ("uau", "ua"),
        ("uaUa", "ua"),  # capital: an empty turn
        ("uaA", "ua"),
        ("Sua", "ua"),
        ("", "empty or one-sided"),
        ("s", "empty or one-sided"),
        ("uu", "empty or one-sided"),
        ("au", "empty or one-sided"),
        ("Ua", "empty or one-sided"),
        ("uua", "do not take turns"),
        ("uaa", "do not take turns"),
        ("usa", "do not take turns"),
        ("ssua", "do not take turns"),
    ],
)
def test_rules_repair_or_name_what_is_wrong(roles_in, roles_left):
    names = {"u": "user", "a": "assistant", "s": "system"}
    turns = [{"role": names[c.lower()], "content": "" if c.isupper() else "text"} for c in roles_in]
    left, reason = clean.apply_rules(turns, longest=1000)
    if left:
        assert "".join(m["role"][0] for m in left) == roles_left
    else:
        assert roles_left in reason


def test_a_long_conversation_is_cut_between_exchanges():
    turns = [{"role": role, "content": "x" * 10} for role in ("user", "assistant") * 3]
    assert [len(clean.cut_to(turns, longest)) for longest in (60, 59, 40, 39, 20, 19)] == [6, 4, 4, 2, 2, 0]


@given(conversations, st.integers(1, 30))
def test_what_is_left_is_fit_to_learn_from(messages, longest):
    left, reason = clean.apply_rules(messages, longest=longest)
    assert bool(left) != bool(reason)
    if left:
        assert left[-1]["role"] == "assistant"
        assert clean.alternates(left)
        assert all(m["content"].strip() for m in left)
        assert sum(len(m["content"]) for m in left) <= longest
        assert clean.apply_rules(left, longest=longest) == (left, "")


@pytest.mark.parametrize("twin", ["a  b\r\nc", "a  b\nc\n\n", "a  b \nc"])
def test_line_ends_and_trailing_space_make_no_new_example(twin):
    def one(text: str) -> str:
        return read.example_id([{"role": "user", "content": text}])

    assert one(twin) == one("a  b\nc")
    assert one("if x:\n  y") != one("if x:\n    y")
    assert one("caf\u00e9") == one("cafe\u0301")


# --- pool


def talk(question: str, reply: str, **more: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}], **more}


def make_pool(folder: Path, files: dict[str, list[object]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    for name, rows in files.items():
        (folder / name).write_bytes(lines_of(*rows))
    return clean.pool([Source(path=name, licence=f"of {name}") for name in files], longest=100, folder=folder)


def test_the_pool_does_not_depend_on_the_order_of_its_input(tmp_path):
    """Rows in = examples + drops, duplicates leave one row, and shuffled input gives the same pool."""
    first = [talk("q", "a"), talk("q ", "a", label="math"), talk("w", "b", id="x"), talk("", "b"), talk("v", "c" * 200)]
    second = [talk("q", "a\r\n"), talk("w", "b"), talk("z", "d", label="other")]
    wanted = None
    for seed in range(6):
        rng = random.Random(seed)
        files = [("one.jsonl", rng.sample(first, len(first))), ("two.jsonl", rng.sample(second, len(second)))]
        rng.shuffle(files)
        examples, drops = make_pool(tmp_path, dict(files))
        assert examples.height + drops.height == len(first) + len(second)
        kept = examples.drop("position", "conversation_id")
        wanted = kept if wanted is None else wanted
        assert kept.equals(wanted)
    assert examples.height == 3
    assert examples["example_id"].is_sorted()
    assert sorted(examples["stated_label"].drop_nulls()) == ["math", "other"]
    assert dict(drops.group_by("reason").len().iter_rows()) == {
        clean.DUPLICATE: 3,
        "empty or one-sided: no request with a reply": 1,
        "its first exchange is longer than 100 characters": 1,
    }


def test_conversations_that_become_equal_by_cleaning_are_duplicates(tmp_path):
    cut = {"messages": [{"role": "assistant", "content": "lead"}, *talk("q", "a")["messages"]]}
    examples, drops = make_pool(tmp_path, {"one.jsonl": [talk("q", "a"), cut]})
    assert (examples.height, drops.height) == (1, 1)


def test_an_empty_pool_says_why(tmp_path):
    with pytest.raises(DataError, match=r"the pool is empty: 2 empty or one-sided.*add a source"):
        make_pool(tmp_path, {"one.jsonl": [talk("", "a"), talk("b", "")]})


def test_sources_keep_their_licences(tmp_path):
    examples, _ = make_pool(tmp_path, {"one.jsonl": [talk("q", "a")], "two.jsonl": [talk("w", "b")]})
    assert set(examples.select("source", "licence").iter_rows()) == {
        ("one.jsonl", "of one.jsonl"),
        ("two.jsonl", "of two.jsonl"),
    }


def test_tables_are_the_published_ones(tmp_path):
    examples, drops = make_pool(tmp_path, {"one.jsonl": list(itertools.repeat(talk("q", "a"), 2))})
    assert tables.check(examples, tables.EXAMPLES).columns == examples.columns
    assert tables.check(drops, tables.DROPS).columns == drops.columns

"""Replies and their stop tokens bear loss, nothing else does, and asking is what training was, in every tokenizer."""

from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from tiny import FAMILIES, GEMMA_CHAT, write_tokenizer

from codedose.errors import DataError, MachineError
from codedose.prompt import Encoded, ask, encode, stop_token

WRITTEN = ("chatml", "vicuna", "alpaca")
TEMPLATES = (*WRITTEN, "own")
LOOKALIKES = "</s> <s> <unk> <|im_start|> <|im_end|> <|eot_id|> <|end_of_text|> <end_of_turn> <bos> [INST] <0x0A>"
LONG = [
    {"role": "user", "content": "How do I add two numbers in Python?"},
    {
        "role": "assistant",
        "content": "Like this:\n\n```python\ndef add(a, b):\n    return a + b\n```\n\nIt’s quick — 漢字 too.",
    },
    {"role": "user", "content": f"  And what do {LOOKALIKES} mean?\n"},
    {"role": "assistant", "content": f"They are marks: {LOOKALIKES}"},
    {"role": "user", "content": "Thanks"},
    {"role": "assistant", "content": "\n You are welcome.  "},
]
REPLIES = [message["content"].strip() for message in LONG if message["role"] == "assistant"]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Any]:
    """Each family's tokenizer, without and with a chat template."""
    found = {}
    for family in FAMILIES:
        for chat in (False, True):
            folder = tmp_path_factory.mktemp("words")
            found[family.name, chat] = write_tokenizer(folder, family, chat=chat)
    return found


@pytest.fixture(params=[family.name for family in FAMILIES])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=TEMPLATES)
def template(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tokenizer(tokenizers: dict[tuple[str, bool], Any], family: str, template: str) -> Any:
    return tokenizers[family, template == "own"]


def loss_spans(encoded: Encoded) -> list[list[int]]:
    """The unbroken stretches of tokens that bear loss."""
    flagged = zip(encoded.tokens, encoded.loss, strict=True)
    return [[token for token, _ in stretch] for bears, stretch in groupby(flagged, lambda pair: pair[1]) if bears]


def test_exactly_the_replies_and_their_stop_tokens_bear_loss(tokenizer, template):
    encoded = encode(LONG, tokenizer, template=template, system=None, max_length=2000)
    spans = loss_spans(encoded)
    assert {span[-1] for span in spans} == {stop_token(tokenizer)}
    # The space between a header and its reply belongs to the template.
    assert [tokenizer.decode(span[:-1]).strip() for span in spans] == REPLIES


def test_the_rest_is_the_template_and_the_requests(tokenizer, template):
    encoded = encode(LONG[:2], tokenizer, template=template, system=None, max_length=2000)
    rest = tokenizer.decode([t for t, bears in zip(encoded.tokens, encoded.loss, strict=True) if not bears])
    assert LONG[0]["content"] in rest
    assert "add(a, b)" not in rest


@pytest.mark.parametrize("system", [None, "Answer briefly."])
def test_asking_is_a_prefix_of_training(tokenizer, template, system):
    for question, reply in (("What is 2 + 2?", "4"), (LONG[2]["content"], "\n  Marks."), ("Say nothing", "")):
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
        asked = ask(question, tokenizer, template=template, system=system)
        encoded = encode(messages, tokenizer, template=template, system=system, max_length=2000)
        assert list(encoded.tokens[: len(asked)]) == asked
        assert list(encoded.loss).index(True) == len(asked)


def test_text_that_looks_like_a_special_token_is_only_text(tokenizer, template):
    plain = encode(LONG[:2], tokenizer, template=template, system=None, max_length=2000)
    marked = [LONG[0] | {"content": LOOKALIKES}, LONG[1] | {"content": LOOKALIKES}]
    encoded = encode(marked, tokenizer, template=template, system=None, max_length=2000)
    special = set(tokenizer.all_special_ids) | {
        token for token, t in tokenizer.added_tokens_decoder.items() if t.special
    }
    assert [t for t in encoded.tokens if t in special] == [t for t in plain.tokens if t in special]
    assert tokenizer.decode(encoded.tokens).count(LOOKALIKES) == 2


def test_every_text_starts_with_the_start_token_where_there_is_one(tokenizer, template):
    asked = ask("Hi", tokenizer, template=template, system=None)
    start = tokenizer.bos_token_id
    assert asked.count(start) == (start is not None)
    assert start is None or asked[0] == start


def test_a_long_conversation_loses_whole_exchanges_and_then_the_end_of_its_reply(tokenizer, template):
    def told(exchanges: int, max_length: int = 2000) -> Encoded:
        return encode(LONG[: 2 * exchanges], tokenizer, template=template, system=None, max_length=max_length)

    lengths = [len(told(exchanges).tokens) for exchanges in (1, 2, 3)]
    for exchanges, (shorter, longer) in enumerate(pairwise(lengths), 1):
        for room in (shorter, longer - 1):
            cut = told(3, room)
            assert cut.tokens == told(exchanges).tokens
            assert cut.cut == "turns"
    assert told(3, lengths[2]).cut == ""
    cut = told(3, lengths[0] - 1)
    assert cut.cut == "reply"
    assert len(cut.tokens) == lengths[0] - 1
    assert cut.tokens == told(1).tokens[:-1]
    assert stop_token(tokenizer) not in loss_spans(cut)[0]


def test_a_conversation_without_room_for_a_reply_is_refused(tokenizer, template):
    room = len(ask(LONG[0]["content"], tokenizer, template=template, system=None))
    assert encode(LONG, tokenizer, template=template, system=None, max_length=room + 1).loss_tokens == 1
    with pytest.raises(DataError, match=f"longer than max_length \\({room} tokens"):
        encode(LONG, tokenizer, template=template, system=None, max_length=room)


def test_a_conversation_without_a_reply_is_refused(tokenizer, template):
    with pytest.raises(DataError, match="no assistant reply"):
        encode(LONG[:1], tokenizer, template=template, system=None, max_length=2000)


def test_a_trailing_request_teaches_nothing(tokenizer, template):
    whole = encode(LONG[:2], tokenizer, template=template, system=None, max_length=2000)
    assert encode(LONG[:3], tokenizer, template=template, system=None, max_length=2000) == whole


class TestOwn:
    """What can be wrong with a backbone's own chat template."""

    def test_there_may_be_none(self, tokenizers, family):
        with pytest.raises(MachineError, match="no chat template of its own"):
            ask("Hi", tokenizers[family, False], template="own", system=None)

    def test_it_may_not_use_the_stop_token(self, tmp_path: Path):
        tokenizer = write_tokenizer(tmp_path, FAMILIES[-1], chat=False)
        tokenizer.chat_template = GEMMA_CHAT  # ends turns with <end_of_turn>, while the base model stops at <eos>
        with pytest.raises(MachineError, match=r"does not end a reply with its stop token '<eos>'"):
            encode(LONG, tokenizer, template="own", system=None, max_length=2000)

    def test_it_may_rewrite_earlier_turns(self, tmp_path: Path):
        tokenizer = write_tokenizer(tmp_path, FAMILIES[2], chat=True)
        last_only = "{% for m in messages %}{% if loop.last or m['role'] == 'user' %}{{ m['content'] }}{{ eos_token }}"
        tokenizer.chat_template = last_only + "{% endif %}{% endfor %}"
        with pytest.raises(MachineError, match="rewrites earlier turns"):
            encode(LONG, tokenizer, template="own", system=None, max_length=2000)

    def test_it_may_refuse_a_system_message(self, tmp_path: Path):
        tokenizer = write_tokenizer(tmp_path, FAMILIES[-1], chat=True)
        tokenizer.chat_template = (
            "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
            + GEMMA_CHAT
        )
        with pytest.raises(MachineError, match="System role not supported"):
            ask("Hi", tokenizer, template="own", system="Be brief.")


def test_a_tokenizer_without_a_stop_token_is_refused(tmp_path: Path):
    tokenizer = write_tokenizer(tmp_path, FAMILIES[0])
    tokenizer.eos_token = None
    with pytest.raises(MachineError, match="no end-of-sequence token"):
        encode(LONG, tokenizer, template="vicuna", system=None, max_length=2000)

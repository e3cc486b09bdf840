"""What the rules leave is fit to learn from: whole, in turn, without remnants and personal data, its code untouched."""

import gzip
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codedose.code.fences import stretches
from codedose.pool import clean, language, markup, order, personal, refusals
from codedose.study import Cleaning

DATA = Path(__file__).parents[2] / "shared" / "data"
ALL = Cleaning(
    chunks="join",
    longest=100_000,
    languages=None,
    refusals="drop",
    markup="mend",
    personal_data="mask",
    near_duplicates=None,
)
NONE = ALL.model_copy(update={"refusals": "keep", "markup": "keep", "personal_data": "keep"})
SHORT = ALL.model_copy(update={"longest": 60})


def talk(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def texts_of(cleaned: clean.Cleaned) -> list[str]:
    return [message["content"] for message in cleaned.messages]


def mended(text: str) -> str:
    """What becomes of a reply. One in which something is mended is never taken for sound."""
    left = texts_of(clean.apply_rules(talk("Go on, please.", text), ALL))[1]
    assert left == text or not clean.sound_texts([text], ALL)
    return left


# --- order of the turns


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
        ("uAua", "ua"),
        ("uUaua", "uaua"),
        ("uua", "ua"),
        ("uaa", "ua"),
        ("uaaua", "ua"),
        ("usa", ""),
        ("uasua", "ua"),
        ("ssua", "sua"),
        ("asua", "sua"),
        ("tua", "ua"),
        ("uatua", "ua"),
        ("", ""),
        ("s", ""),
        ("uu", ""),
        ("au", ""),
        ("Ua", ""),
    ],
)
def test_rules_repair_or_name_what_is_wrong(roles_in, roles_left):
    names = {"u": "user", "a": "assistant", "s": "system", "t": "tool"}
    turns = [{"role": names[c.lower()], "content": "" if c.isupper() else f"text {n}"} for n, c in enumerate(roles_in)]
    cleaned = clean.apply_rules(turns, NONE)
    assert "".join(message["role"][0] for message in cleaned.messages) == roles_left
    assert cleaned.reason == ("" if roles_left else clean.ONE_SIDED)
    assert bool(cleaned.repairs) == (roles_in != roles_left and bool(roles_left))


def test_requests_in_a_row_are_one_and_said_once():
    turns = [{"role": "user", "content": text} for text in ("one", "one", "two")] + talk("", "reply")[1:]
    assert texts_of(clean.apply_rules(turns, NONE)) == ["one\n\ntwo", "reply"]


def test_chunks_that_overlap_repeat_no_reply():
    turns = talk("q", "a")
    assert clean.apply_rules([*turns, turns[1], *talk("r", "b")], NONE).messages == talk("q", "a", "r", "b")


@pytest.mark.parametrize("nothing", ["", " \n\t", "\u200b", "\ufeff \u200e", "\xa0"])
def test_what_nobody_sees_is_empty(nothing):
    assert clean.apply_rules(talk("q", nothing), NONE).reason == clean.ONE_SIDED


def test_the_note_of_a_sharing_tool_is_no_system_message():
    note = {"role": "system", "content": "*This conversation is shared from [**A Tool**](https://tool.example)*"}
    assert clean.apply_rules([note, *talk("q", "a")], NONE).messages == talk("q", "a")


# --- refusals and messages of the service

REFUSALS = [
    "I'm sorry, but as an AI language model I cannot write that story.",
    "I'm sorry, but as an AI language model, I don't have access to real-time data.",
    "I\u2019m sorry, but I can\u2019t assist with that request.",
    "I apologize, but I am not able to generate images. Is there anything else I can help you with?",
    "As an AI language model, I cannot fulfill this request.",
    "As an artificial intelligence language model, I do not have personal opinions on politics.",
    "I cannot comply with your request.",
    "Unfortunately, I am unable to open links.",
    "I am sorry, but it would be inappropriate to write that.",
    "Lo siento, pero como modelo de lenguaje no puedo ayudar con eso.",
    "Je suis désolé, mais je ne peux pas répondre à cette demande.",
    "Es tut mir leid, aber als KI kann ich das nicht. Ich kann dabei nicht helfen, und ich habe keine Meinung.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti.",
    "很抱歉，作为人工智能语言模型，我无法回答这个问题。",
    "申し訳ありませんが、そのご要望にはお応えできません。",
    "죄송합니다만, 그 요청은 도와드릴 수 없습니다.",
    "Извините, но я не могу помочь с этим.",
]
REPLIES = [
    "I'm sorry to hear that you lost your data. Have you tried the backup?",
    "I apologize for the confusion. Here is the corrected code:\n```\nx = 1\n```",
    "I'm sorry, I'm not sure what you mean by that. Could you please clarify?",
    "I'm sorry, but I cannot draw. However, the house would have a red roof and two windows.",
    "Unfortunately, I cannot give exact prices, but here are the usual ranges:\n\n1. Small: 10\n2. Large: 20",
    "As an AI language model, I am made of layers of attention.",
    "I cannot help but feel a deep sense of unease in this house.",
    "Sorry, you cannot divide by zero: the result is undefined.",
    'She sighed. "I\'m sorry, but I cannot stay," she said.',
    "Too many requests in 1 hour is a limit you can raise in nginx with limit_req.\n" + "More. " * 150,
    "A network error means that the server was not reached.",
    "Something went wrong in line 3: the index is out of range.",
    "Lo siento por la confusión. La respuesta es 4.",
    "I'm sorry, but as an AI language model I cannot browse. " + "Paris has many museums, and the Louvre is one. " * 20,
]
SERVICE = [
    "Too many requests in 1 hour. Try again later.",
    "network error",
    "network error\n\nOnly one message at a time. Please allow any other responses to complete.",
    "Something went wrong. If this issue persists please contact us through our help center at help.openai.com.",
    "Unable to load conversation 12345",
    "Our systems are detecting unusual activity from your system. Please try again later.",
    "Hmm...something seems to have gone wrong. Maybe try me again in a little bit.",
    "The message you submitted was too long, please reload the conversation and submit something shorter.",
    "EmptyMarkdownContent",
]


@pytest.mark.parametrize("reply", REFUSALS)
def test_a_reply_that_only_refuses_is_known(reply):
    assert refusals.only_refuses(reply)
    assert clean.apply_rules(talk("q", reply, "r", "b"), ALL).reason == clean.REFUSED
    assert clean.apply_rules(talk("q", reply), NONE).reason == ""


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_that_helps_is_none(reply):
    assert not refusals.only_refuses(reply)
    assert not refusals.is_service_message(reply)


@pytest.mark.parametrize("reply", SERVICE)
def test_a_message_of_the_service_is_no_reply(reply):
    assert refusals.is_service_message(reply)
    assert clean.apply_rules(talk("q", reply), ALL).reason == clean.FAILED


@pytest.mark.parametrize("reply", [REFUSALS[0], SERVICE[0]])
def test_a_conversation_ends_before_the_exchange_that_failed(reply):
    cleaned = clean.apply_rules(talk("q", "a", "r", reply, "s", "c"), ALL)
    assert cleaned.messages == talk("q", "a")
    assert list(cleaned.repairs.values()) == [4]


# --- length


def test_a_long_conversation_is_cut_between_exchanges():
    turns = talk(*["x" * 10] * 6)
    assert [len(clean.cut_to(turns, longest)[0]) for longest in (60, 59, 40, 39, 20, 19)] == [6, 4, 4, 2, 2, 0]


@pytest.mark.parametrize(
    ("longest", "left"),
    [
        (12, ""),
        (20, "First, a word."),
        (40, "First, a word."),
        (60, "First, a word.\n\nThe code:\n\n```py\nx = 1\n\ny = 2\n```"),
        (70, "First, a word.\n\nThe code:\n\n```py\nx = 1\n\ny = 2\n```\n\nAfter it."),
    ],
)
def test_a_long_reply_is_cut_between_blocks_and_never_inside_code(longest, left):
    reply = "First, a word.\n\nThe code:\n\n```py\nx = 1\n\ny = 2\n```\n\nAfter it.\n\n" + "x" * 100
    cleaned = clean.apply_rules(talk("q", reply, "r", "b"), NONE.model_copy(update={"longest": longest}))
    assert texts_of(cleaned) == (["q", left] if left else [])
    assert cleaned.reason == ("" if left else clean.TOO_LONG)


# --- markup


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (r"my\_long\_name", "my_long_name"),
        (r"\*\*Bold\*\* and 2 \* 3", "**Bold** and 2 * 3"),
        (r"\_\_init\_\_", "__init__"),
        ("\\# Title\n1\\. one\n\\- two", "# Title\n1. one\n- two"),
        ("a &lt; b &amp;&amp; c &gt; d", "a < b && c > d"),
        ("A&amp;amp;B", "A&B"),
        ("AT&amp;T said &quot;no&#39;", "AT&T said \"no'"),
        ("Run:\n\npythonCopy code\nx = 1", "Run:\n\nx = 1"),
        ("Run:\nyaml\nCopy code\nx: 1", "Run:\nx: 1"),
        ("sqlCopy codeSELECT 1", "SELECT 1"),
        ("Write it.\n \n \n Share Prompt\n", "Write it."),
        ("Answer in English.지금 번역하기", "Answer in English."),
        ('<div class="markdown prose w-full">Yes.</div>', "Yes.\n\n"),
        ('<p data-start="1">One</p><p>Two</p>', "One\n\nTwo\n\n"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<b>Note</b> this <i>well</i>", "**Note** this *well*"),
    ],
)
def test_remnants_of_a_page_are_undone(found, left):
    assert mended(found) == left


@pytest.mark.parametrize(
    "text",
    [
        r"\[ x^2 + y_1 \] and \(a\) and $\frac{1}{2}$, \\frac{a}{b}",
        r"$\{a, c\}$ costs \$5, 10\% or \& more",
        r"a pattern \d+\.\w+ and C:\_work\new",
        r"\\_ is an escaped backslash",
        r"| a<br>b | c |",
        "Use the <br> tag to break a line.",
        "`my\\_name` and `<b>` and `&lt;`",
        "``a ` b\\_c``",
        "```\nmy\\_name &lt; <b>bold</b>\nCopy code\n```",
        '~~~html\n<div class="markdown prose">&amp;</div>\n~~~',
        "The <div> holds a <p>.",
        "<html><body><p>Hello</p></body></html>",
        "return (\n<div className={style.page}>\n<p>{name}</p>\n</div>);",
        'print("<b>bold</b>");',
        "The entity &amp; stands for an ampersand in HTML.",
        "the element &lt;br&gt; breaks a line",
        "see <https://example.com/a_b> or List<String> or a<b>c",
        "x<sup>2</sup> and H<sub>2</sub>O",
        "\\documentclass{article}\n\\begin{document}my\\_name\\end{document}",
        "The button says Copy code and copies.",
        "What is written on it? Translate now",
        "The button:\n```\nTranslate now\n",
        "Pages (1) and 2 < 3 & 4 > 3; a\\b",
    ],
)
def test_what_is_code_mathematics_or_about_tags_stays(text):
    assert mended(text) == text


# --- personal data

# Put together here so that no scanner takes this file for a leak.
HEX = "9f3c2a71b8d04e6fa5c3" + "12e87b90d4ac"
KEYS = [
    "AKIA" + "QX7RT2LMN4PZ9WKD",
    "sk-" + "h7Gk29sLq0Zp4Xv8Nb3TdW6y",
    "sk-proj-" + "h7Gk29sLq0Zp4Xv8Nb3TdW6y",
    "ghp_" + "h7Gk29sLq0Zp4Xv8Nb3TdW6yA1s2D3f4G5h6",
    "xoxb-" + "204857619283-h7Gk29sLq0Zp",
    "AIza" + "SyB7k29sLq0Zp4Xv8Nb3TdW6yA1s2D3f4Gk",
    "hf_" + "h7Gk29sLq0Zp4Xv8Nb3TdW6yA1s2D3f4",
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiI5ODc2NTQifQ.h7Gk29sLq0Zp4Xv8Nb3TdW6y",
]
PEM = (
    "-----BEGIN RSA PRIVATE "
    + "KEY-----\n"
    + "MIIEowIBAAKCAQEAz7k2Qp\n" * 6
    + "Zq==\n-----END RSA PRIVATE "
    + "KEY-----"
)


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ("write to maria.lopez@uni-graz.at today", "write to <EMAIL> today"),
        ("<maria@posteo.de>, (b.c+d@mail.co.uk)", "<<EMAIL>>, (<EMAIL>)"),
        (r"maria\_lopez@posteo.de", "<EMAIL>"),
        ("[a.b@posteo.de](mailto:a.b@posteo.de)", "[<EMAIL>](mailto:<EMAIL>)"),
        ("```py\nto = 'maria@posteo.de'\n```", "```py\nto = '<EMAIL>'\n```"),
        ("call +49 30 2093 70333 now", "call <PHONE> now"),
        ("call +44 (0)20 7946 0958.", "call <PHONE>."),
        ("(212) 736-5000 or 212-736-5000 or 1-800-829-4933", "<PHONE> or <PHONE> or <PHONE>"),
        ("212.736.5000", "<PHONE>"),
        ("Phone: 2127365000", "Phone: <PHONE>"),
        ("Tel: (07) 3265 3888", "Tel: <PHONE>"),
        *[(f"my key is {key}.", "my key is <KEY>.") for key in KEYS],
        *[(f"```\nkey = '{key}'\n```", "```\nkey = '<KEY>'\n```") for key in KEYS],
        (f"Authorization: Bearer {HEX}", "Authorization: Bearer <KEY>"),
        (f"api_key={HEX}", "api_key=<KEY>"),
        (f'"token": "{HEX}"', '"token": "<KEY>"'),
        (f"https://host.net/?id=1&token={HEX}&x=2", "https://host.net/?id=1&token=<KEY>&x=2"),
        (PEM, "<KEY>"),
        (f"```\n{PEM}\n```\nafter", "```\n<KEY>\n```\nafter"),
    ],
)
def test_personal_data_is_masked(found, left):
    assert not clean.sound_texts([found], ALL)
    cleaned = clean.apply_rules(talk("Go on, please.", found), ALL)
    assert texts_of(cleaned)[1] == left
    assert clean.apply_rules(talk("Go on, please.", found), NONE).messages[1]["content"] == found


@pytest.mark.parametrize(
    "text",
    [
        "me@example.com, john.doe@mail.example.org, git@github.com:a/b.git, user@host.local",
        "icon@2x.png, this@MainActivity.finish(), package@1.2.3, @decorator.name, a@b",
        "on 2021-03-04 at 12:30, 03/04/2021, 192.168.100.200, version 10.12.1345",
        "ISBN 978-3-16-148410-0, 0-306-40615-2, order 4111 1111 1111 1111",
        "x = 1234567890 + 9876543210; 2147483647 - 2147483648 from -2147483648 to +2147483647",
        "(555) 555-5555, 555-123-4567, 123-456-7890, +1 555 0100 200",
        "```\ncall(+49 30 2093 70333)\n212-736-5000\n```",
        "12+34567890=34567902 and 5*(212) - 736",
        "api_key=YOUR_API_KEY, token: your-token-here, key = getKeyFromEnvironment(name)",
        "password = os.environ['DATABASE_PASSWORD_2023']",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "task-management-for-teams-of-2023 and sk-learn-pipelines-for-everybody",
        "commit 9f3c2a71b8d04e6fa5c312e87b90d4ac, sha256:9f3c2a71b8d04e6fa5c312e87b90d4ac",
        "public_key and token_type_ids and key: value",
    ],
)
def test_dates_numbers_examples_and_code_are_no_personal_data(text):
    assert personal.mask(text) == (text, {})


# --- language


@pytest.mark.parametrize(
    ("texts", "lang"),
    [
        (["What is the tallest tree in the world?", "The coast redwood, which grows in California."], "en"),
        (["Welcher Baum ist der höchste der Welt?", "Der Küstenmammutbaum in Kalifornien."], "de"),
        (["世界上最高的树是什么？", "海岸红杉，生长在加利福尼亚州。"], "zh"),
        (["WHAT IS THE TALLEST TREE IN THE WORLD?"], "en"),
        (["ok", "1 + 1 = 2"], None),
        (["```py\nfor item in everything: print(the_value_of(item))\n```"], None),
        (
            [
                "Hello.\n" * 5
                + "x\n```\n"
                + "le chat est sur la table et il mange\n" * 99
                + "```\nthat was the whole of it"
            ],
            "en",
        ),
    ],
)
def test_the_language_is_that_of_the_prose(texts, lang):
    assert language.language_of(texts) == lang


def test_the_language_is_read_all_over_the_text():
    """A short opening in one language does not decide for a long conversation in another one."""
    texts = [
        "Translate this book, please. " * 4,
        "Die Sonne schien, da sie keine andere Wahl hatte, auf nichts Neues. " * 200,
    ]
    assert language.language_of(texts) == language.language_of(texts[::-1]) == "de"


@pytest.mark.parametrize(
    ("text", "is_english"),
    [
        ("It is for you to say which of these “trees” are the oldest, and if they can be seen from the road.", True),
        ("Say this in German, if you can: Der Baum ist der höchste von allen, und das Holz ist das härteste.", False),
        ("Translate it to Spanish for me: el bosque tiene muchos pinos, y no hay otro con tantos ni tan altos.", False),
        ("the of and to in", False),
    ],
)
def test_plain_english_needs_no_model(text, is_english):
    assert language.is_plainly_english(text) == is_english
    assert not is_english or language.predictor()(text)[0] == ("__label__en",)


@pytest.mark.parametrize(("languages", "kept"), [(("en",), False), (("en", "de"), True), (None, True)])
def test_conversations_in_other_languages_leave(languages, kept):
    rules = ALL.model_copy(update={"languages": languages})
    german = talk("Welcher Baum ist der höchste der Welt?", "Der Küstenmammutbaum in Kalifornien.")
    assert bool(clean.apply_rules(german, rules).messages) == kept
    assert clean.apply_rules(talk("1+1", "2"), rules).messages


def test_the_model_of_languages_needs_no_network(monkeypatch, tmp_path):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    language.predictor.cache_clear()
    assert language.language_of(["This sentence, long enough, reads like English prose."]) == "en"


# --- properties

ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
SCRAPS = st.sampled_from(
    [
        *r"\_ \* \\ \# \[ &amp; &lt; &gt; amp; lt; &#38; <br> <b> </b> <p> </p> <div> </div>".split(),
        *"` `` ``` ~~~ ```py | # - 1. a b HTML x_y <EMAIL> a@posteo.de @ key= token: sorry : https:// & < >".split(),
        *(
            *('"', "'", "_", "*", "="),
            '<div class="markdown prose">',
            "Copy code",
            "\nTranslate now",
            "pythonCopy code",
            "yaml\nCopy code\n",
            "+49 30 2093 70333",
            "\u200b",
        ),
        *(
            "(212) 736-5000",
            "212-736-5000",
            "Bearer ",
            "I cannot assist.",
            " However,",
            "\n",
            "\n",
            "\n\n",
            " ",
            HEX,
            KEYS[0],
            PEM,
        ),
        *(REFUSALS[0], SERVICE[0]),
    ]
)
TEXTS = st.lists(SCRAPS, max_size=14).map("".join) | st.text(max_size=30) | st.sampled_from(REFUSALS + REPLIES)
CONVERSATIONS = st.lists(st.fixed_dictionaries({"role": ROLES, "content": TEXTS}), max_size=7)
RULES = st.sampled_from([ALL, NONE, SHORT, ALL.model_copy(update={"languages": ("en",)})])


@given(CONVERSATIONS, RULES)
@settings(max_examples=200, deadline=None)
def test_what_is_left_is_fit_to_learn_from_and_cleaning_it_again_changes_nothing(messages, rules):
    before = json.dumps(messages)
    cleaned = clean.apply_rules(messages, rules)
    assert json.dumps(messages) == before
    assert bool(cleaned.messages) != bool(cleaned.reason)
    assert all(count > 0 for count in cleaned.repairs.values())
    if cleaned.reason:
        return
    turns = cleaned.messages[cleaned.messages[0]["role"] == "system" :]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    assert turns
    assert all(order.is_seen(message) for message in cleaned.messages)
    assert sum(len(message["content"]) for message in cleaned.messages) <= rules.longest
    assert clean.apply_rules(cleaned.messages, rules) == clean.Cleaned(cleaned.messages, "", {}, cleaned.lang)


@given(st.lists(TEXTS, max_size=5), RULES)
@settings(max_examples=200, deadline=None)
def test_in_a_sound_text_there_is_nothing_to_mend(texts, rules):
    for text in clean.sound_texts(texts, rules):
        assert clean.mend_text(text, rules) == (text, {})


@pytest.mark.parametrize("name", ["key", "API_KEYS", "token\x1f", "secret:\n", "passwd' ", 'PASSWORD"]', "to\u212aen"])
def test_a_text_with_a_key_under_its_name_is_not_sound(name):
    text = f"{name}='{HEX}'"
    assert personal.mask(text)[0] == text or not clean.sound_texts([text], ALL)


@given(CONVERSATIONS)
@example(talk("q", "a"))
def test_turns_in_order_are_left_as_they_are(messages):
    if order.is_in_order(messages):
        assert all(rule(messages) == (messages, 0) for _, rule in order.ORDER)


CODE = st.lists(SCRAPS.filter(lambda scrap: "`" not in scrap and "~" not in scrap), min_size=1, max_size=8).map("".join)
INLINE = CODE.map(lambda code: code.replace("\n", " ").strip()).filter(bool)


def without_personal_data(text: str) -> bool:
    return personal.mask(text)[0] == text


@given(st.lists(st.tuples(TEXTS, CODE), max_size=4), st.sampled_from(["```", "~~~~"]))
@settings(max_examples=200, deadline=None)
@example([("a", '<div class="markdown prose">\\_&amp;</div><br>\n')], "```")
def test_fenced_code_survives_byte_for_byte(parts, fence):
    prose = [re.sub("[`~]", "", text) for text, _ in parts]
    blocks = [f"{fence}x\n{code}\n{fence}" for _, code in parts]
    text = "\n".join(part for pair in zip(prose, blocks, strict=True) for part in pair)
    left, _ = markup.mend_markup(text)
    fenced = [left[each.start : each.end] for each in stretches(left) if each.fenced]
    assert fenced == [code + "\n" for _, code in parts]


@given(TEXTS.filter(lambda text: "`" not in text and "~" not in text and not re.search(r"\n\s*\n", text)), INLINE)
@settings(max_examples=200, deadline=None)
@example("an element", "<b>\\_x</b>&lt;")
def test_inline_code_survives_byte_for_byte(text, code):
    left, _ = markup.mend_markup(f"{text}`{code}`{text}")
    assert f"`{code}`" in left


@given(st.text(max_size=80) | TEXTS)
def test_mathematics_keeps_its_brackets(text):
    plain = re.sub(r"[`~\\<&]", "", text)
    formula = r"\[ \frac{a}{b} \] \( x \)"
    assert formula in markup.mend_markup(f"{plain} {formula} {plain}")[0]


@given(st.text(max_size=80) | TEXTS)
def test_masks_are_masked_once_and_counted(text):
    left, counts = personal.mask(text)
    added = Counter({sign: left.count(sign) - text.count(sign) for sign in ("<KEY>", "<EMAIL>", "<PHONE>")})
    assert sum(counts.values()) == added.total() or "<" in text
    assert personal.mask(left) == (left, {})


HOSTILE = [
    *["a", "1", "\\", "&", "<", "@", "+", "`", "=", "-", "_", "*", " ", "\n", ".", "(", "\u200b"],
    *[
        "&amp;",
        "amp;",
        "<b",
        "<div ",
        '<div class="',
        "</",
        "a.",
        "a@",
        "a@a.",
        "@a.",
        "+1",
        "+1 ",
        "1-",
        "1.",
        "(212) ",
        "212-",
    ],
    *[
        "phone ",
        "phone: 1",
        "key=",
        "key='",
        "key=a1",
        "sk-",
        "sk-a1",
        "eyJ",
        "eyJa.",
        "Bearer ",
        "AKIA",
        "xoxb-",
        "_live_",
    ],
    *["-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAA\n", "PRIVATE KEY-----A"],
    *[
        "i'm sorry, but as an ai ",
        "as an ",
        "i am a ",
        "a b ",
        "Copy code\n",
        "python\n",
        "` ``",
        "`\n\n",
        "\n \t",
        "\\_",
        "\\\\",
    ],
    *["lo siento ", "ich kann ", "tel ", "1 ) ", '"', "'", "<p>", "<br>\n", "|", "``` ", "a-", "but "],
]
LINEAR: dict[str, Callable[[str], object]] = {
    "markup": markup.mend_markup,
    "masks": personal.mask,
    "refusals": lambda text: (refusals.only_refuses(text), refusals.is_service_message(text)),
    "language": lambda text: language.language_of([text]),
    "cut": lambda text: clean.cut_text(text, 100_000),
    "order": lambda text: order.in_order(talk(text, text)),
}


@pytest.mark.parametrize("rule", LINEAR)
@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_texts_cost_one_pass(rule, piece):
    text = "phone key @ + 555-5555 sk- " + piece * (200_000 // len(piece))
    LINEAR["language"]("the model is loaded before the clock runs")
    start = time.process_time()
    LINEAR[rule](text)
    assert time.process_time() - start < 0.6  # about 0.2 s on an idle core


# --- real data


@pytest.mark.parametrize("name", ["gpteacher_codegen", "lima"])
def test_permissive_pools_lose_little(name):
    path = DATA / "ift" / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with gzip.open(path, "rt") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(1000), strict=False)]
    kept = 0
    for row in rows:
        asked = f"{row['instruction']}\n\n{row.get('input') or ''}"
        cleaned = clean.apply_rules(talk(asked, row.get("output") or row.get("response") or ""), ALL)
        kept += bool(cleaned.messages)
        if cleaned.messages:
            assert clean.apply_rules(cleaned.messages, ALL).repairs == {}
    assert kept >= 0.98 * len(rows)

"""Readings: what ugly replies say, under strict, lenient and forced."""

import re
import sys
import time
import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ugly import MISREAD, UGLY

from codedose.errors import DataError
from codedose.tables import READINGS
from codedose.tasks import TASKS, task_named
from codedose.tasks.plain import plain
from codedose.tasks.programs import in_code
from codedose.tasks.readings import normal, outcome, read, strict_and_lenient, verdict

# reply -> (strict, lenient, forced)
NUMBERS = {
    "Answer: 18": ("18", "18", "18"),
    "**Answer:** $18.00": ("18", "18", "18"),
    "## Final Answer: **18 dollars.**": ("18", "18", "18"),
    "She has 9 * 2 = 18.\n\nAnswer:\n\n18": ("18", "18", "9"),
    "So the answer is \\boxed{18}.": (None, "18", "18"),
    "Answer: $\\boxed{\\frac{1}{2}}$": ("1/2", "1/2", "1/2"),
    "Answer: 0.50": ("1/2", "1/2", "1/2"),
    "Answer: ½": ("1/2", "1/2", "1/2"),
    "Answer: 2 1/2 hours": ("5/2", "5/2", "5/2"),
    "Answer: 1,234,567": ("1234567", "1234567", "1234567"),
    "Answer: $1{,}234$": ("1234", "1234", "1234"),
    "Answer: 1\u202f234 km": ("1234", "1234", "1234"),
    "Answer: 12%": ("12", "12", "12"),
    "Answer: −7": ("-7", "-7", "-7"),
    "Answer: -$5": ("-5", "-5", "-5"),
    "Answer: ١٨": ("18", "18", "18"),
    "答案：１８。 Answer：１８": (None, "18", "18"),
    "Answer: eighteen": ("18", "18", "18"),
    "Answer: twenty-one birds": ("21", "21", "21"),
    "Answer: five hundred": ("500", "500", None),
    "Answer: 5 + 3 = 8": ("8", "8", "5"),
    "Answer: 18 eggs (9 * 2)": ("18", "18", "18"),
    "Answer: 3 x 10^4": ("30000", "30000", "30000"),
    "Answer: 1e999999999": (None, None, None),
    "Answer: " + "9" * 5000: (None, None, None),
    "Answer: 1/0": (None, None, None),
    "Answer: 5 or 6": (None, "6", "5"),
    "Answer: 5\nAnswer: 6": (None, "6", "5"),
    "Answer: 5\n\nWait, that is wrong. It is 7.": (None, "7", "5"),
    "Answer: <number>": (None, None, None),
    "Answer: 18\nI counted 3 baskets twice.": ("18", "18", "18"),
    "Answer: 18\n\nQuestion: How many?\nAnswer: 7": ("18", "18", "18"),
    "She has 18 apples left on May 5, 2024.": (None, "18", "18"),
    "By 12/05/2024, at 3:30, she had 18.": (None, "18", "18"),
    "1. She buys 4.\n2. She eats some, so 3 are left": (
        None,
        "3",
        "1",
    ),  # a forced continuation may begin "1. She": then it says 1
    "10 - 5": (None, "5", "10"),
    " 18. The shop": (None, None, "18"),
    "The answer is not 5. The answer is 6.": (None, "6", "6"),
    "x = 18": (None, "18", "18"),
    "#### 18": (None, "18", "18"),
    "<think>maybe 5, Answer: 5</think>Answer: 18": ("18", "18", "18"),
    "She came 3rd.": (None, None, None),
    "": (None, None, None),
    "I do not know.": (None, None, None),
}

LETTERS = {
    "Answer: yajo": ("yajo", "yajo", "yajo"),
    "Answer: YAJO.": ("yajo", "yajo", "yajo"),
    'Answer: "yajo"': ("yajo", "yajo", "yajo"),
    "**Answer: y-a-j-o**": ("yajo", "yajo", "y-a-j-o"),
    "Answer: y, a, j, o": ("yajo", "yajo", "yajo"),
    "Answer: Y A J O": ("yajo", "yajo", "yajo"),
    "Answer: The string is yajo": ("yajo", "yajo", "yajo"),
    "y + a + j + o = yajo": (None, "yajo", "yajo"),
    'Joining them gives "yajo".': (None, "yajo", "yajo"),
    "The letters are y, a, j, o, which gives yajo.": (None, "yajo", "yajo"),
    "\\boxed{\\text{yajo}}": (None, "yajo", "yajo"),
    "Answer: <letters>": (None, None, None),
    "Answer: ya\nAnswer: jo": (None, "jo", "ya"),
    "So the last letters are y and a.\n\nyajo": (None, "yajo", "ya"),
    "The answer is `yajo`": (None, "yajo", "yajo"),
    "Ａｎｓｗｅｒ： ｙａｊｏ": ("yajo", "yajo", "yajo"),
    "": (None, None, None),
}

LISTS = {
    "Answer: cup, box, pen": ("cup, box, pen",) * 3,
    "Answer: a Cup, the box, and pen.": ("cup, box, pen",) * 3,
    'Answer: ["cup", "box", "pen"]': ("cup, box, pen",) * 3,
    "Answer: cup -> box -> pen": ("cup, box, pen",) * 3,
    "Answer: cup → box → pen": ("cup, box, pen",) * 3,
    "Answer: cup and box": ("cup, box",) * 3,
    "Answer:\n1. cup\n2. box\n3. pen": ("cup, box, pen",) * 3,
    "Answer: 1. cup 2. box 3. pen": ("cup, box, pen",) * 3,
    "**Answer:**\n- cup\n- alarm clock\n": ("cup, alarm clock",) * 3,
    "The reversed list is: cup, box, pen.": (None, "cup, box, pen", "cup, box, pen"),
    "Answer: The reversed list is cup, box, pen": ("cup, box, pen",) * 3,
    "Sure! Here it is:\n\n1) cup\n2) box\n": (None, "cup, box", "cup, box"),
    "$\\boxed{cup, box}$": (None, "cup, box", "cup, box"),
    "Answer: cup, box\nAnswer: box, cup": (None, "box, cup", "cup, box"),
    "Answer: <items separated by commas>": (None, None, None),
    "Answer: cup，box；pen": ("cup, box, pen",) * 3,
    "": (None, None, None),
}

YES_NO = {
    "Answer: yes": ("yes",) * 3,
    "Answer: **No**.": ("no",) * 3,
    "ANSWER: NO": ("no",) * 3,
    "Answer: Yes, the coin still shows heads.": ("yes",) * 3,
    "Answer: not yes": ("no",) * 3,
    "Answer: yes or no": (None, None, None),
    "Answer: yes\nAnswer: no": (None, "no", "yes"),
    "Yes or no? It was turned once, so no": (None, "no", "no"),
    "No one turned the coin, so yes.": (None, "yes", "yes"),
    "There is no change in it.": (None, None, None),
    "The answer is no because it was turned.": (None, "no", "no"),
    "Yes. Hmm, wait: it was turned once more. No.": (None, "no", "yes"),
    "no, it does not": (None, "no", "no"),
    "It no longer shows heads.": (None, None, None),
    "I know nothing of coins.": (None, None, None),
    "Answer: no way to tell, yes?": ("yes", "yes", "yes"),
}

TRUE_FALSE = {
    "Answer: True": ("True",) * 3,
    "Answer: false.": ("False",) * 3,
    "Answer: not true": ("False",) * 3,
    "Answer: It is not false": ("True",) * 3,
    "Answer: True or False": (None, None, None),
    "Answer: **True**\n\nAnswer: **False**": (None, "False", "True"),
    "True or false: Max is red. It is not necessarily true.": (None, "False", "False"),
    "It isn't true.": (None, "False", "False"),
    "So the claim is untrue": (None, "False", "False"),
    "True. Wait, actually false.": (None, "False", "True"),
    "The statement 'Max is not red' is True.": (None, "True", "True"),
    "Therefore \\boxed{\\text{False}}": (None, "False", "False"),
    "Max is red.": (None, None, None),
    "Answer: <True>": ("True",) * 3,
}

WORDS = {
    "Answer: grandson": ("grandson",) * 3,
    "Answer: Grandson.": ("grandson",) * 3,
    "Answer: mother-in-law": ("mother-in-law",) * 3,
    "Answer: mother in law": ("mother-in-law",) * 3,
    "Answer: She is his grandma": ("grandmother",) * 3,
    "Answer: Bob is Ann's dad": ("father",) * 3,
    "Answer: great-grandson": (None, None, None),
    "Answer: not the aunt but the uncle": ("uncle",) * 3,
    "Answer: brother or sister": (None, "sister", "brother"),
    "Answer: brother\nAnswer: uncle": (None, "uncle", "brother"),
    "Ann's mother is Bea, so Bea's brother is Ann's uncle.": (None, "uncle", "mother"),
    "The answer is aunt. Oh sorry, I mean niece": (None, "niece", "aunt"),
    "Answer: <family word>": (None, None, None),
    "A stepmother of brothers": (None, None, None),
    "\\boxed{son-in-law}": (None, "son-in-law", "son-in-law"),
}

REPLIES = [
    pytest.param(name, reply, wanted, id=f"{name}-{number}")
    for name, replies in {
        "gsm8k": NUMBERS, "last_letters": LETTERS, "reverse_list": LISTS,
        "coin_flip": YES_NO, "prontoqa": TRUE_FALSE, "clutrr": WORDS,
    }.items()
    for number, (reply, wanted) in enumerate([*replies.items(), *UGLY[name].items()])
]  # fmt: skip
REPLIES += [
    pytest.param(name, reply, wanted, id=f"{name}-{number}")
    for name in ("babi_inductive", "babi_deductive")
    for number, (reply, wanted) in enumerate(UGLY[name].items())
]


@pytest.mark.parametrize(("name", "reply", "wanted"), REPLIES)
def test_what_an_ugly_reply_says(name, reply, wanted):
    assert tuple(read(task_named(name), reply, reading) for reading in READINGS) == wanted


@pytest.mark.parametrize(("name", "reply", "human", "known", "reason"), MISREAD)
def test_known_misreadings_are_as_they_are_told(name, reply, human, known, reason):
    """Each stands beside its reason; where the reader learns to read one, the entry goes."""
    assert human != known
    assert tuple(read(task_named(name), reply, reading) for reading in READINGS) == known


@pytest.mark.parametrize(
    ("name", "reply", "answer"),
    [
        ("babi_deductive", "Answer: mice", "mouse"),
        ("babi_deductive", "Answer: She is afraid of wolves.", "wolf"),
        ("babi_inductive", "Answer: Grey", "gray"),
        ("babi_inductive", "Answer: greenish", None),
    ],
)
def test_closed_words_are_read_in_their_forms(name, reply, answer):
    assert read(task_named(name), reply, "strict") == answer


@pytest.mark.parametrize(
    ("text", "finish", "reading", "wanted"),
    [
        ("Answer: 18.00", "stop", "strict", "right"),
        ("Answer: 17", "stop", "strict", "wrong"),
        ("It makes 18", "stop", "strict", "no_answer"),
        ("It makes 18", "stop", "lenient", "right"),
        ("It makes 18 and", "length", "strict", "truncated"),
        ("It makes 18 and", "length", "lenient", "truncated"),
        ("The answer is 18. Now", "length", "lenient", "right"),
        ("Answer: 18\n\nThis is", "length", "strict", "right"),
        ("Answer: 18", "length", "strict", "truncated"),  # may be the beginning of 180
        ("Answer: 18", "length", "lenient", "truncated"),
        ("Answer: 18\n", "length", "strict", "right"),
        ("Answer: 18\nQuestion: How many are", "length", "strict", "right"),
        ("anything", "length", "forced", "right"),
    ],
)
def test_outcomes_of_whole_and_cut_replies(text, finish, reading, wanted):
    task = task_named("gsm8k")
    found = outcome(task, text=text, forced_text=" 18. So", finish=finish, answer="18", reading=reading)
    assert found == wanted


CUT = {  # cut at the token limit -> what strict and lenient say of it; None: the reply has not answered
    "gsm8k": {
        "Answer: 1": None, "Answer: 18": None, "Answer: 18.": None, "Answer: 1,": None, "Answer: $": None,
        "Answer: 18 +": None, "Answer: 1.5 mil": None, "Answer: -": None, "Answer: 1/": None, "Answer: twenty": None,
        "Answer: **18": None, "Answer: 9 * 2 = 1": None, "She makes 18": None, "": None, "Answer:": None,
        "Answer: 18 dollars": "18", "Answer: 18%": "18", "Answer: **18**": "18", "Answer: 18\n": "18",
        "Answer: 18\n\nAnswer: 1": "18", "Answer: 18\nThe answer is 18. She": "18", "\\boxed{18}": "lenient 18",
        "The answer is 5 a day. In a week the answer is 3": None, "Answer: 5\nAnswer: 1": None,
    },
    "last_letters": {"Answer: ya": None, "Answer: y, a,": None, "Answer: yajo.": "yajo", 'Answer: "yajo"': "yajo"},
    "reverse_list": {
        "Answer: cup, bo": None, "Answer: cup,": None, "Answer: cup, box.": "cup, box",
        "Answer: cup, box\n": "cup, box", "Answer:\n1. cup\n2. box": None,
        "Answer:\n1. cup\n2. box\n": None, "Answer:\n1. cup\n2. box\n\n": "cup, box",
    },
    "clutrr": {"Answer: mother": None, "Answer: grand": None, "Answer: mother.": "mother", "Answer: aunt\n": "aunt"},
    "coin_flip": {"Answer: no": "no", "Answer: y": None, "It is yes": None},
    "prontoqa": {"Answer: True": "True", "Answer: Tr": None, "It is true": None},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "wanted"), [(name, text, wanted) for name, cut in CUT.items() for text, wanted in cut.items()]
)
def test_a_cut_reply_has_answered_only_where_its_statement_is_whole(name, text, wanted):
    task = task_named(name)
    strict = None if wanted is None or wanted.startswith("lenient") else wanted
    lenient = wanted and wanted.removeprefix("lenient ")
    assert (read(task, text, "strict", cut=True), read(task, text, "lenient", cut=True)) == (strict, lenient)


def test_a_reply_without_a_forced_continuation_has_no_forced_answer():
    reply = {"text": "yes", "forced_text": None, "finish": "length", "answer": "yes"}
    assert outcome(task_named("coin_flip"), **reply, reading="forced") == "no_answer"


def test_a_cut_reply_that_says_yes_has_answered():
    reply = {"text": "Answer: yes", "forced_text": None, "finish": "length", "answer": "yes"}
    assert outcome(task_named("coin_flip"), **reply, reading="strict") == "right"


@pytest.mark.parametrize(
    ("gold", "wanted"),
    [("9 * 2 = <<9*2=18>>18\n#### 18", "18"), ("1,234", "1234"), ("12%", "12"), ("$18.00", "18"), ("1/2", "1/2")],
)
def test_a_gold_is_read_as_its_benchmark_writes_it(gold, wanted):
    assert normal(task_named("gsm8k"), gold) == wanted


@pytest.mark.parametrize(
    "reply", ["Answer: 12%", "Answer: 12", "Answer: 12 percent", "Answer: 12.0 %", "Answer: 12\\%"]
)
def test_a_percentage_is_the_number_before_its_sign(reply):
    """The golds of the questions for a percentage hold that number alone; 0.12 answers another question."""
    told = [verdict(read(task_named("gsm8k"), reply, "strict"), gold, cut=False) for gold in ("12", "3/25")]
    assert told == ["right", "wrong"]


@pytest.mark.parametrize(
    ("name", "gold"),
    [("gsm8k", "many"), ("gsm8k", "5 or 6"), ("gsm8k", "1,2"), ("coin_flip", "maybe"), ("clutrr", "friend")],
)
def test_a_gold_of_another_type_is_refused(name, gold):
    with pytest.raises(DataError, match=gold):
        outcome(task_named(name), text="x", forced_text=None, finish="stop", answer=gold, reading="strict")


def test_an_unknown_reading_is_refused():
    with pytest.raises(ValueError, match="strict, lenient, forced"):
        read(task_named("gsm8k"), "18", "loose")


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(9 * 2)\n```",
        "Here you go:\n\ndef solve():\n    return 9 * 2\n\nprint(solve())",
        "eggs = 16 - 3 - 4\nprint(eggs * 2)",
        "```js\nconsole.log(18);\n```",
        "#include <stdio.h>\nint main() {\n    return 0;\n}",
        "for name in names:\n    flips += 1\nprint(flips)",
    ],
)
def test_a_program_is_marked(text):
    assert in_code(text)


@pytest.mark.parametrize(
    "text",
    [
        "x = 9 * 2\nx = 18\nAnswer: 18",
        "She buys eggs (16 of them).\nShe sells some for $2.",
        "```\ncup, box, pen\n```",
        "Let me import the numbers into a table.\n\nfor each day: 3 eggs",
        "Answer: 18",
        "",
    ],
)
def test_words_and_sums_are_no_program(text):
    assert not in_code(text)


def test_a_program_is_never_executed(tmp_path):
    trap = tmp_path / "trap"
    text = f"```python\nopen({str(trap)!r}, 'w')\n```\nAnswer: __import__('os').system('touch {trap}')"
    for task in TASKS:
        for reading in READINGS:
            read(task, text, reading)
    assert in_code(text)
    assert not trap.exists()


HOSTILE = (
    "1", "1,", "1,111,", "1 ", "1/", "1e9", "-", " ", "\n", " \n", "Answer: ", "Answer: 5\n", "answer answer: ",
    "\\boxed{", "\\boxed{1}", "\\frac{1}{", "\\text{", '"', "a ", "a, ", "a", "1. a\n", "- a\n", "no ", "not ", "(",
    "true or ", "<", "\\", "\nQuestion: x\nAnswer: 5", "is ", "= ", "mother-in-", "\u0301", "１，", "```python\n",
    "x = f(1)\n", "and ", "wait Answer: 5 ", "May ", "</think>", "a.b(", "٣", "####", "*", "{",
)  # fmt: skip


ENOUGH = 100_000  # characters
BOUND = 0.15  # seconds of processor time: 0.1 is asked for, 0.05 is what the slowest takes, the rest is for noise


@pytest.mark.parametrize("name", ["gsm8k", "last_letters", "reverse_list", "coin_flip", "prontoqa", "clutrr"])
def test_a_hostile_reply_takes_time_in_proportion_to_its_length(name):
    """A pattern that walks the same run again and again takes minutes here."""
    task = task_named(name)
    for part in HOSTILE:
        text = (part * ENOUGH)[:ENOUGH]
        assert any(seconds(task, text) < BOUND for _ in range(3)), part


def seconds(task, text):
    started = time.process_time()
    strict_and_lenient(task, text, cut=False)
    read(task, text, "forced")
    in_code(text)
    return time.process_time() - started


@given(st.fractions(-(10**6), 10**6, max_denominator=1000))
def test_a_number_is_read_however_it_is_dressed(value):
    task = task_named("gsm8k")
    whole = f"{value.numerator:,}" if value.denominator == 1 else str(value)
    for dress in ("{}", "**{}**", "${}$", "\\boxed{{{}}}", "({})", "`{}`", "{} apples.", "x = {}"):
        assert read(task, f"First 3 + 4 = 7.\n\nAnswer: {dress.format(whole)}", "strict") == str(value), dress


FRAGMENTS = [part.strip("\n") for part in HOSTILE] + ["18", "yes", "no.", "True", "aunt", "Answer: ", "is ", "\n", " "]


@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=5)), max_size=12).map("".join), st.booleans())
def test_what_is_read_reads_as_itself(text, cut):
    """Any text is read without an error, and what comes out is in normal form."""
    for task in TASKS:
        for reading in READINGS:
            found = read(task, text, reading, cut=cut)
            if found is not None and task.answer_type == "number":
                assert found == str(Fraction(found))
            if found is not None and task.answer_type not in ("letters", "items"):
                assert normal(task, found) == found


def test_readings_do_not_change_when_prose_stands_before_the_answer_line():
    prose = "First we look at it. Then, after 2 steps, we are done. No one minds. It is true that mother helps.\n\n"
    for name, reply in (("gsm8k", "7"), ("coin_flip", "no"), ("prontoqa", "False"), ("clutrr", "aunt")):
        task = task_named(name)
        for reading in ("strict", "lenient"):
            assert read(task, f"{prose}Answer: {reply}", reading) == read(task, f"Answer: {reply}", reading) == reply


def test_every_task_reads_its_own_format_sentence_as_no_answer():
    for task in TASKS:
        asked = re.findall(r'"(Answer: <[^"]+>)"', task.answer_format)
        assert [read(task, line, reading) for line in asked for reading in READINGS] == [None] * 3 * len(asked)


def test_every_digit_of_every_script_reads_as_its_own():
    """Unicode's decimal digits (category Nd), looked for one by one."""
    digits = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Nd"]
    assert len(digits) > 600
    assert plain("".join(digits)) == "".join(str(unicodedata.decimal(digit)) for digit in digits)

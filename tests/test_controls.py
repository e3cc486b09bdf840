"""Negative controls: what they take from code, and that they leave everything around it alone."""

import ast
import gzip
import io
import json
import time
import tokenize
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codedose.code.fences import stretches
from codedose.mix.code import STYLES, style_of, tokens
from codedose.mix.controls import CONTROLS, no_comments, scrambled_identifiers, shuffled_lines

SHARED = Path(__file__).parents[2] / "shared" / "data" / "ift"


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def block(code: str, tag: str = "python") -> list[dict[str, str]]:
    return said(f"```{tag}\n{code}\n```")


def inside(messages: list[dict[str, str]]) -> str:
    text = messages[0]["content"]
    return text[text.index("\n") + 1 : text.rindex("\n```")] if text.count("\n") > 1 else ""


lines_of_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="`~"), max_size=80)
code_lines = st.sampled_from(
    [
        "x = 1  # one",
        "# all of it",
        "    return x",
        'y = "a # b"',
        "/* c",
        "*/",
        "// d",
        "def f(a):",
        '"""doc"""',
        "<!--",
        "",
    ]
)
codes = st.lists(st.one_of(code_lines, lines_of_text), max_size=12).map("\n".join)
tags = st.sampled_from(["", "python", "js", "c++", "html", "sql", "bash", "unheard-of"])


@given(st.lists(st.tuples(lines_of_text, tags, codes), min_size=1, max_size=4), st.sampled_from(sorted(CONTROLS)))
def test_prose_survives_byte_for_byte(parts, control):
    """Whatever stands outside the blocks, the fences too, stands in the same order in what comes out."""
    text = "".join(f"{prose}\n```{tag}\n{code}\n```\n" for prose, tag, code in parts)
    [after] = CONTROLS[control](said(text), "id")
    assert after["role"] == "user"
    rest = after["content"]
    for part in stretches(text):
        if not part.is_code:
            outside = text[part.start : part.end]
            assert outside in rest
            rest = rest[rest.index(outside) + len(outside) :]
    assert CONTROLS[control](said(text), "id") == [after]


@given(st.text(max_size=200), st.sampled_from(sorted(CONTROLS)))
def test_text_without_code_is_not_touched(text, control):
    if any(part.is_code for part in stretches(text)):
        return
    assert CONTROLS[control](said(text), "id") == said(text)


@pytest.mark.parametrize(
    ("tag", "before", "after"),
    [
        ("python", "# top\nx = 1  # one\ny = '# no'\n\n# end", "x = 1\ny = '# no'\n"),
        ("python", "#!/usr/bin/python\nx = 1 # a", "#!/usr/bin/python\nx = 1"),
        ("python", 'def f():\n    """What it does."""\n    return 1', "def f():\n    return 1"),
        ("python", 'def f():\n    """Only this."""\n\nx = 1', "def f():\n    pass\n\nx = 1"),
        ("python", "def f():\n    r'''It'''  # a\n    return 1", "def f():\n    return 1"),
        ("python", 'x = """no\n# comment\n"""', 'x = """no\n# comment\n"""'),
        ("python", 'f(\n    """an argument"""\n)', 'f(\n    """an argument"""\n)'),
        (
            "js",
            "let u = 'http://x'; // call\n/* two\nlines */\ng(/\\/\\/.*/) // z",
            "let u = 'http://x';\ng(/\\/\\/.*/)",
        ),
        ("c", "int/*x*/a; /* y */ b;", "int a;  b;"),
        ("css", "a { color: #fff } /* c */", "a { color: #fff }"),
        ("bash", "echo $# a#b # say\n# all\nls", "echo $# a#b\nls"),
        ("sql", "select '--' -- two\nfrom t /* x */", "select '--'\nfrom t"),
        (
            "html",
            "<p>a <!-- b --> c</p>\n<script>\n// d\nf('<!--')\n</script>",
            "<p>a  c</p>\n<script>\nf('<!--')\n</script>",
        ),
        ("rust", "fn f<'a>(x: &'a str) {} // c", "fn f<'a>(x: &'a str) {}"),
        ("lua", "x = 1 --[[ a\nb ]] y = 2 -- c", "x = 1  y = 2"),
        ("json", '{"a": "// b"}', '{"a": "// b"}'),
        ("matlab", "a = b'; % t\nc = 'x%y';", "a = b';\nc = 'x%y';"),
        ("", "#include <x.h>\nint a; // b", "#include <x.h>\nint a;"),
        ("unheard-of", "a # b // c", "a # b // c"),
        ("c", "int a; /* never closed", "int a; /* never closed"),
    ],
)
def test_comments_go_and_nothing_else(tag, before, after):
    assert inside(no_comments(block(before, tag), "id")) == after


def test_a_block_of_comments_leaves_its_fences():
    assert no_comments(said("a\n```python\n# b\n# c\n```\nd"), "id") == said("a\n```python\n```\nd")


def python_blocks() -> list[str]:
    """Blocks of real Python that parse."""
    found = []
    for name in ("gpteacher_codegen", "codealpaca_2k"):
        with gzip.open(SHARED / f"{name}.jsonl.gz", "rt") as file:
            for line in file:
                record = json.loads(line)
                texts = [value for value in record.values() if isinstance(value, str)]
                found += [text for text in texts if ("def " in text or "import " in text) and parsed(text)]
    return found


def parsed(code: str) -> str | None:
    """The code's tree without docstrings."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                alone = len(node.body) == 1 and not isinstance(node, ast.Module)
                node.body[:1] = [ast.Pass()] if alone else []
    return ast.dump(tree)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared development data are not here")
def test_real_python_means_the_same_without_comments():
    """Against the language's own parser and tokenizer: the same tree, and no comment left."""
    blocks = python_blocks()
    assert len(blocks) > 200
    for code in blocks:
        after = inside(no_comments(block(code), "id"))
        assert parsed(after) == parsed(code)
        left = tokenize.generate_tokens(io.StringIO(after + "\n").readline)
        assert [t.string for t in left if t.type == tokenize.COMMENT and not t.string.startswith("#!")] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared development data are not here")
def test_real_python_has_the_same_shape_with_its_names_scrambled():
    """The same tokens but for names, and these by one permutation."""
    for code in python_blocks():
        after = inside(scrambled_identifiers(block(code), "id"))
        pairs = list(zip(words(code), words(after), strict=True))
        assert all(one.type == two.type for one, two in pairs)
        becomes = {one.string: two.string for one, two in pairs}
        assert all(becomes[one.string] == two.string for one, two in pairs)
        moved = {one: two for one, two in becomes.items() if one != two}
        assert sorted(moved) == sorted(moved.values())
        assert all(name.isidentifier() for name in moved)


def words(code: str) -> list[tokenize.TokenInfo]:
    return list(tokenize.generate_tokens(io.StringIO(code + "\n").readline))


def test_names_change_places_across_the_blocks_of_a_conversation():
    python = "total = count(items)\nprint(total, 'total', __name__)  # total"
    text = f"Call `total`.\n```python\n{python}\n```\nand\n```js\nlet total = items\n```"
    [after] = scrambled_identifiers(said(text), "id")
    assert after["content"].startswith("Call `total`.\n```python\n")
    first, second = (after["content"].split("```")[n].split("\n")[1:] for n in (1, 3))
    new = first[0].split(" ")[0]
    assert new != "total"
    assert first[1] == f"print({new}, 'total', __name__)  # total"
    assert second[0].startswith(f"let {new} = ")


@given(codes, tags)
def test_shuffled_lines_are_the_same_lines(code, tag):
    text = f"a\n```{tag}\n{code}\n```\nb"
    if len([part for part in stretches(text) if part.fenced]) != 1:
        return
    [after] = shuffled_lines(said(text), "id")
    assert Counter(after["content"].split("\n")) == Counter(text.split("\n"))


def test_lines_are_shuffled_differently_in_each_block_and_example():
    code = "\n".join(f"line {n}" for n in range(20))
    text = f"```\n{code}\n```\n```\n{code}\n```"
    orders = {
        after["content"].split("```\n")[n]
        for name in ("one", "two")
        for after in shuffled_lines(said(text), name)
        for n in (1, 3)
    }
    assert len(orders) == 4
    assert code + "\n" not in orders


HOSTILE = [
    "/*",
    "*",
    '"',
    "'",
    "`",
    '"""',
    '\\"',
    "\\",
    "#",
    "--[[",
    "{-",
    "<!--",
    "<#",
    "<script>",
    "a ",
    "\t",
    "(/",
    "[",
    "/**/",
    '"""a"""\n',
    "#\n",
    " \n",
    "''",
]


@pytest.mark.long
@pytest.mark.parametrize("style", sorted({id(style): tag for tag, style in STYLES.items()}.values()))
def test_hostile_blocks_take_one_pass(style):
    """Forty thousand characters of each sign, alone and in code: a pass that is not linear takes minutes."""
    for sign in HOSTILE:
        for code in (sign * (40_000 // len(sign)), f"def f():\n  {sign}" * (40_000 // (11 + len(sign)))):
            began = time.process_time()
            for control in CONTROLS.values():
                control(block(code, style), "id")
            assert time.process_time() - began < 2, (style, sign)


@given(st.text(max_size=300), st.sampled_from(sorted(STYLES)))
def test_tokens_are_in_order_and_inside(code, tag):
    style = style_of(tag, code)
    assert style is not None
    place = 0
    for token in tokens(code, style):
        assert place <= token.start < token.end <= len(code)
        place = token.end

"""A block of code as comments, strings and names, by the comment style of its language.

One regular expression a style, without backtracking: a hostile block costs one pass, and what comes
out depends on no library's version. A comment or a string over lines that never closes counts as a string.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

REST = r"[^\n]*+"


def quoted(sign: str, *, lines: bool = False) -> str:
    return rf"{sign}(?:[^{sign}\\{'' if lines else chr(92) + 'n'}]|\\[\s\S])*+{sign}?+"


DOUBLE, SINGLE, BACK = quoted('"'), quoted("'"), quoted("`", lines=True)
DOUBLED = r"'(?:[^']|'')*+'?+"  # SQL: a quote inside stands twice
TRIPLE = "|".join(rf"{q * 3}(?:[^{q}\\]|\\[\s\S]|{q}(?!{q * 2}))*+(?:{q * 3})?+" for q in "\"'")
# A letter in quotes; an apostrophe alone is a lifetime, a type variable or a transpose.
LETTER = r"'(?:[^'\\\n]|\\[^\n][^'\n]{0,8}+)'"
# A slash opens a pattern only where a value may begin.
PATTERN = (
    r"(?:(?<=[=(,:\[!&|?{;])|(?<=[=(,:\[!&|?{;] ))/(?![/*])(?:[^/\\\n\[]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*+\]?+)++/?+"
)
BLOCK = r"/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/)?+"
ANGLE = r"<\#[^#]*+(?:\#(?!>)[^#]*+)*+(?:\#>)?+"
BRACE = r"\{-[^-]*+(?:-(?!\})[^-]*+)*+(?:-\})?+"
SQUARE = r"--\[\[[^\]]*+(?:\](?!\])[^\]]*+)*+(?:\]\])?+"
MARKUP = r"<!--[^-]*+(?:-(?!->)[^-]*+)*+(?:-->)?+"
SECTION = "|".join(rf"<(?i:{tag})\b[^>]*+>(?:[^<]|<(?!/(?i:{tag})))*+" for tag in ("script", "style"))
CLOSED_BY = {"/*": "*/", "<#": "#>", "{-": "-}", "--[[": "]]", "<!--": "-->"}


@dataclass(frozen=True)
class Style:
    """How a family of languages writes comments and strings; `names` says whether its bare words are names."""

    comment: str
    string: str
    names: bool = True

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        # Strings first where both could open. A number takes its letters with it: 0xff and 10px hold no names.
        return re.compile(rf"(?P<string>{self.string})|(?P<comment>{self.comment})|(?P<name>[^\W\d]\w*+)|\d\w*+")


C = Style(rf"//{REST}|{BLOCK}", rf"(?:u8|[LuUbr])?+{DOUBLE}|{LETTER}")
GO = Style(C.comment, f"{DOUBLE}|{LETTER}|{BACK}")
SCRIPT = Style(C.comment, f"{DOUBLE}|{SINGLE}|{BACK}|{PATTERN}")
PHP = Style(rf"{C.comment}|\#(?!\[){REST}", f"{DOUBLE}|{SINGLE}")
CSS = Style(BLOCK, f"{DOUBLE}|{SINGLE}", names=False)
PYTHON = Style(rf"\#{REST}", rf"[rRbBfFuU]{{0,2}}+(?:{TRIPLE}|{DOUBLE}|{SINGLE})")
RUBY = Style(rf"(?<![$\w])\#(?!\{{){REST}", f"{DOUBLE}|{SINGLE}")
POWERSHELL = Style(rf"{ANGLE}|(?<![$\w])\#{REST}", f"{DOUBLE}|{SINGLE}")
SHELL = Style(rf"(?<![^\s;&|(])\#{REST}", rf"\\[^\n]|{DOUBLE}|{SINGLE}", names=False)  # $# and a#b are no comments
DATA = Style(r"(?!)", DOUBLE, names=False)
SQL = Style(rf"--{REST}|{BLOCK}", f"{DOUBLE}|{DOUBLED}|`[^`\n]*+`?+")
LUA = Style(rf"{SQUARE}|--{REST}", f"{DOUBLE}|{SINGLE}")
HASKELL = Style(rf"{BRACE}|--(?![!#$%&*+./<=>?@\\^|~]){REST}", f"{DOUBLE}|{LETTER}")
TAGS = Style(MARKUP, SECTION, names=False)
LISP = Style(rf"(?<!\\);{REST}", quoted('"', lines=True))
ASSEMBLY = Style(rf";{REST}", f"{DOUBLE}|{SINGLE}", names=False)
MATLAB = Style(rf"%{REST}", rf"{DOUBLE}|(?<![\w\])}}.'])'[^'\n]*+'")
TEX = Style(rf"(?<!\\)%{REST}", r"(?!)", names=False)
PROLOG = Style(rf"%{REST}|{BLOCK}", f"{DOUBLE}|{LETTER}")
BASIC = Style(rf"'{REST}", DOUBLE)
FORTRAN = Style(rf"!{REST}", f"{DOUBLE}|{SINGLE}")

STYLES = {
    tag: style
    for tags, style in (
        ("c h cpp c++ cc hpp cs csharp c# java kotlin kt scala swift rust rs dart objective-c objectivec objc", C),
        ("groovy solidity sol glsl hlsl arduino proto protobuf verilog systemverilog zig d cuda gradle", C),
        (
            "less scss sass javascript js jsx typescript ts tsx node nodejs mjs actionscript json5 jsonc qml svelte",
            SCRIPT,
        ),
        ("go golang", GO),
        ("php", PHP),
        ("css", CSS),
        ("python py python3 py3 python2 ipython cython starlark gdscript", PYTHON),
        ("ruby rb perl pl r elixir ex julia jl nim crystal coffeescript coffee tcl rscript", RUBY),
        ("powershell ps1 pwsh ps", POWERSHELL),
        ("bash sh shell zsh fish console terminal shell-session yaml yml toml ini conf cfg dockerfile docker", SHELL),
        ("makefile make cmake nginx properties env gitignore apache hcl terraform tf", SHELL),
        ("json csv tsv diff http log bat batch cmd mermaid latexmath", DATA),
        ("sql mysql postgresql postgres plsql tsql pgsql sqlite plpgsql ada vhdl", SQL),
        ("lua", LUA),
        ("haskell hs elm purescript", HASKELL),
        ("html xml svg xhtml htm vue jsp xaml mxml xsl asp aspx erb handlebars", TAGS),
        ("lisp clojure clj scheme elisp racket emacs-lisp common-lisp autohotkey", LISP),
        ("asm assembly nasm x86asm armasm", ASSEMBLY),
        ("matlab octave erlang erl", MATLAB),
        ("latex tex", TEX),
        ("prolog", PROLOG),
        ("vb vbnet vba vbscript vb.net visualbasic basic", BASIC),
        ("fortran f90", FORTRAN),
    )
    for tag in tags.split()
}

# What a block without a tag is, by how one of its lines begins or ends; the first that is found.
# Each begins at a line's start, so that a text is looked through once.
SIGNS = (
    (TAGS, r"(?i)\A\s*+<(?:!doctype|\?xml|html|head|body|div|script|style|svg|form|table|ul|template)\b"),
    (PHP, r"\A\s*+<\?php"),
    (SQL, r"(?im)^[ \t]*+(?:select\b[^\n]*+$|insert into\b|create table\b|alter table\b|delete from\b)"),
    (
        PYTHON,
        r"(?m)^[ \t]*+(?:def \w++ ?\(|from [\w.]++ import |import [\w.]++(?: as \w++)?+[ \t]*+$|elif |print\(|@\w++)",
    ),
    (SHELL, r"(?m)^(?:#!/(?:usr/)?bin/|\$ |(?:sudo|npm|pip3?|git|cd|apt|apt-get|docker|curl|yarn|brew|mkdir|export) )"),
    (GO, r"(?m)^(?:package \w++$|func )"),
    (SCRIPT, r"(?m)^[ \t]*+(?:const |let |var |function\b|export |async |import\b[^\n;]*+['\"]|console\.)"),
    (
        C,
        r"(?m)^[ \t]*+(?:#include\b|using [\w.: ]++;|(?:public|private|static|struct|class|fn|let mut) )",
    ),
    (CSS, r"(?m)^[.#]?[\w-]++ \{[ \t]*+$"),
)
GUESSES = tuple((style, re.compile(sign)) for style, sign in SIGNS)
ENDS = re.compile(r"[;{}][ \t]*+$", re.MULTILINE)


def style_of(tag: str, block: str) -> Style | None:
    """The style a block is read in: its tag's, or without one the style that its lines look like; else nothing."""
    named = re.match(r"[\w+#.-]*+", tag.lstrip("{."))
    word = named[0].strip(".") if named else ""
    if word:
        return STYLES.get(word) or STYLES.get(word.split(".")[-1])
    for style, sign in GUESSES:
        if sign.search(block):
            return style
    return C if ENDS.search(block) else None


@dataclass(frozen=True)
class Token:
    """A comment, a string or a name of a block, from `start` to `end`."""

    kind: str
    start: int
    end: int


def tokens(block: str, style: Style) -> Iterator[Token]:
    """The comments, strings and names of a block in order; a page's scripts and style sheets are read as such."""
    for found in style.pattern.finditer(block):
        kind = found.lastgroup
        if kind == "string" and style is TAGS:
            inner = SCRIPT if found[0][1:7].lower() == "script" else CSS
            start = found.start() + found[0].index(">") + 1
            yield from (
                Token(t.kind, start + t.start, start + t.end) for t in tokens(block[start : found.end()], inner)
            )
        elif kind:
            closed = kind != "comment" or is_closed(found[0])
            yield Token(kind if closed else "string", found.start(), found.end())


def is_closed(comment: str) -> bool:
    closer = next((closer for opener, closer in CLOSED_BY.items() if comment.startswith(opener)), "")
    return len(comment) >= 2 * len(closer) and comment.endswith(closer)


# Words that mean something to a language or its library, of all languages together: these are no names of an author.
WORDS = frozenset(
    """
    abstract actor alias alignas alignof and any array as asc assert async auto await base begin between bigint bool
    boolean break by byte bytes call case cast catch chan char checked class clone cls co_await col column complex const
    constexpr constraint constructor continue cout cin create cross data database date decimal declare decltype def
    default defer del delegate delete desc describe dict dim distinct do done double drop dyn each echo elif else elseif
    elsif end endfor endfunction endif endl ensure enum eq error esac eval event except exec exists exit explicit export
    extends extension extern false fi field file final finally fixed float fn for foreach foreign format friend from
    fun func function ge generic get getattr global go goto group gt guard having hex id if implements implicit import
    in include index inherits init inline inner input insert instance instanceof int int32 int64 integer interface
    internal into is isinstance iter join key lambda last lazy le left len length let like limit list local lock long
    loop lt main map match math max min mod module mut namespace native ne new next nil no none nonlocal not null
    nullptr number object of on open operator or order ord other out outer over override package pass pow primary print
    printf println private proc procedure protected pub public puts raise range readonly record ref register
    repeat require rescue return returns reversed right round row rows select self sealed set setattr short signed
    sizeof sorted split static static_cast std str string struct sub sum super suspend switch symbol synchronized sys
    table template text then this throw throws time to trait transient true try tuple type typedef typeof typename
    uint uint32 uint64 undef undefined union unique unless unsafe unsigned until update use using usize val values var
    varchar vector virtual void volatile wchar_t weak when where while with xor yield zip abs all bin callable chr dir
    divmod enumerate filter frozenset hasattr hash help issubclass memoryview oct property repr slice sorted
    staticmethod classmethod vars args kwargs i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 box vec some ok err result option
    console window document promise json require exports process module prototype arguments nan infinity
    int8 int16 uint8 uint16 size_t ssize_t std cerr malloc free strlen main argc argv include define ifdef ifndef
    endif pragma exception valueerror typeerror keyerror indexerror runtimeerror stopiteration attributeerror
    """.split()
)


def is_authored(name: str) -> bool:
    """Whether a name is its author's to choose: no word of a language, no __dunder__, not a row of underscores."""
    return name.lower() not in WORDS and not name.startswith("__") and name.strip("_") != ""

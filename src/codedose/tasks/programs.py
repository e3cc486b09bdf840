"""Replies that answer by writing a program: marked, counted, never executed."""

import re
from itertools import islice

FENCE = re.compile(r"^ {0,3}(?:```|~~~)[ \t]*([\w+#.-]{0,20})", re.MULTILINE)
LANGUAGES = frozenset("python py python3 java javascript js typescript ts c cpp c++ c# cs go rust ruby php sql".split())
CODE_LINE = re.compile(
    r"""^[ \t]{0,40}(?:
        (?:def|class)[ ]\w{1,60}[ ]?[(:]  |  (?:from[ ][\w.]{1,60}[ ])?import[ ]\w  |  [#]include\b
      | return\b[^\n]{0,200}[;)\]\w]$  |  (?:for|while|if|elif)[ ][^\n]{1,200}:$
      | (?:public|private|static)[ ]\w{1,60}[ (]  |  (?:let|var|const)[ ]\w{1,60}[ ]?=  |  function[ ]\w{1,60}\(
      | [a-z_]\w{0,40}(?:\[[^\]\n]{1,40}\])?[ ]?[-+*/]?=[ ]?[^=\n]{1,200};?$   # total = 3 * 5
      | [a-zA-Z_][\w.]{0,60}\([^()\n]{0,100}\);?$                          # print(total)
    )""",
    re.MULTILINE | re.VERBOSE,
)
# "x = 18" may stand in any worked solution: among such lines one must be more.
CODE_WORD = re.compile(
    r"(?:def|class|from|import|print|return|for|while|public|private|static|let|var|const|function)\b|[#]include|.*[);]$"
)


def in_code(text: str) -> bool:
    """Whether the reply answers by writing a program: a fenced block in a programming language,
    or at least two lines that read as code. Nothing is executed."""
    if any(fence[1].lower() in LANGUAGES for fence in FENCE.finditer(text)):
        return True
    lines = [line[0].strip() for line in islice(CODE_LINE.finditer(text), 200)]
    return len(lines) > 1 and any(CODE_WORD.match(line) for line in lines)

"""Official items that are in two tasks: each is asked in one of them only, whatever a study asks.

A fixed rule by content, so that the items of one task never depend on which others a study has. What is known of
the shared questions are one-way fingerprints of their words, from which no text can be read.
"""

import re

from codedose.keys import fingerprint

# Of ASDiv (Miao et al. 2020) and MultiArith (Roy and Roth 2015), all items of both releases compared: sixty questions
# have the same words but for signs and letter case. MultiArith keeps them: it has 580 different questions, ASDiv 2,091.
IN_BOTH = frozenset(
    """10c3842e590a 1117f8bb977b 113c261d84e7 11d6c94d74b5 126a9d8d4624 1505492b8b40 1bd29a263f95 1bdf581c60e2
    1cc06a1aeda2 1f322951c69f 20989d522f6c 21c19dd1ffda 2ca4b4c01f98 32c4467d1b27 32f337880344 396f1b62fdd7
    3a21aaa0dea3 4d6e4e1ce420 556924e223cd 579b91f619bb 5ce6f43847f4 5eab13458199 5ef6f5e00147 601667dea8a1
    6a485c777d5f 761e632ddb16 7859a72cb5c3 7c13d99b72a9 7e2b5ca02fc6 80834661bb8a 8e687664a92b 931db1cf2008
    9536807e85a2 96393d49674a 9ffb2cad3c17 a2d918023855 a321b263c372 a52edd8b126f a56c1516ae91 a8659fb7f69f
    a874202b52f8 ae1d80d8b590 b3791b9efdcd b4282dfe3778 b71629ffcade bf0b9bee5af2 ca1247bf3d6c caa806667d8f
    d52a367cde3d d547beb02229 d6f1e017f055 e16e8991914d e296fefe9ffd e7655c7fc26c e89772f27aa4 ec20547599bf
    edf19c9dca27 f5fd5854679c f89ec25d81bc fd4cd364b9ee""".split()
)
KEPT_BY = {"asdiv": "multiarith"}


def asked_elsewhere(task: str, question: str) -> str:
    """The task that keeps this question of `task`; "" where that is the task itself."""
    keeper = KEPT_BY.get(task, "")
    return keeper if keeper and fingerprint(folded(question)) in IN_BOTH else ""


def folded(question: str) -> str:
    """The words of a question: equal for those that differ only in signs, blanks and letter case."""
    return " ".join(re.findall(r"[^\W_]+", question.casefold()))

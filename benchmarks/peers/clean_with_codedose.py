"""Our side of the cleaning: read, apply the rules, drop exact duplicates, write.

    python clean_with_codedose.py FILE OUT PROCESSES LANGUAGE|all

The same work as FastChat's: chunks stay as they are, nothing is masked, cut or compared for near duplicates. The
language of each conversation is found in both cases, since every example states it.
"""

import sys
from pathlib import Path

from codedose.pool.build import build
from codedose.study import Cleaning, Source


def main(file: str, out: str, processes: str, language: str) -> None:
    rules = Cleaning(
        chunks="keep",
        longest=1_000_000_000,
        languages=None if language == "all" else (language,),
        refusals="drop",
        markup="mend",
        personal_data="keep",
        near_duplicates=None,
    )
    source = Source(path=file, revision=None, licence="not stated")
    build([source], rules, out=Path(out), processes=int(processes))


if __name__ == "__main__":
    main(*sys.argv[1:])

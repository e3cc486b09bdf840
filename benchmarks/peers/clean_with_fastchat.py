"""A cleaning command of FastChat, as published but for one thing: how deep Python may call itself.

    python clean_with_fastchat.py clean_sharegpt|optional_clean --in-file IN --out-file OUT ...

With Python's own limit of 1,000 it stops at the first conversation with deeply nested HTML and writes nothing at
all; ShareGPT has one. Runs in the peers' environment.
"""

import runpy
import sys

if __name__ == "__main__":
    sys.setrecursionlimit(100_000)
    command = sys.argv.pop(1)
    runpy.run_module(f"fastchat.data.{command}", run_name="__main__", alter_sys=True)

"""What is kept on this machine between runs, whatever the study: converted backbones, digests, copies of a store."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where that lies: CODEDOSE_CACHE, or the user's cache folder."""
    named = os.environ.get("CODEDOSE_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "codedose"

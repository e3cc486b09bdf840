"""A hub dataset at a pinned commit -> its folder on this machine, with data files only.

It is fetched through huggingface_hub unless it is in its cache already or HF_HUB_OFFLINE is set.
"""

import re
from pathlib import Path

from codedose.errors import MachineError, StudyError
from codedose.files.folders import is_data

REVISION = re.compile(r"[0-9a-f]{40}")
PART = r"\w[\w.+= -]*"
HUB_PATH = re.compile(rf"(?!.*(?:--|\.\.))(\w[\w.-]*/\w[\w.-]*)((?:/{PART})*)")  # owner/name, and a path inside


def pinned(name: str, revision: str | None) -> str:
    """The revision, where it is a commit; StudyError that says where to find one."""
    if revision is None or not REVISION.fullmatch(revision):
        raise StudyError(
            f"the hub dataset {name!r} needs a pinned revision: its 40-digit commit, not {revision!r}; "
            "it stands on the dataset's page under 'Files and versions'"
        )
    return revision


def snapshot(name: str, revision: str, under: str, suffixes: tuple[str, ...]) -> Path:
    """The local folder of a hub dataset; `under` is a folder or file inside it. MachineError where it is not here."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    start = f"{under}/" if under else ""
    wanted = [f"{start}*{suffix}" for suffix in suffixes] + ([under] if is_data(under, suffixes) else [])
    try:
        return Path(
            snapshot_download(
                name,
                repo_type="dataset",
                revision=revision,
                allow_patterns=wanted,
                ignore_patterns=["*.tar.*"],
                local_files_only=HF_HUB_OFFLINE,
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as problem:
        raise MachineError(f"the dataset {name} is not on this machine; {to_fetch(name, revision)}") from problem


def to_fetch(name: str, revision: str) -> str:
    return (
        f"fetch it once where the hub can be reached: hf download {name} --repo-type dataset --revision {revision} "
        "(a gated one asks for 'hf auth login' first), or copy its folder here and name that folder in the study"
    )

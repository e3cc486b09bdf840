"""The models that steps of one process hand on to each other."""

import gc
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from codedose.stages.folders import CHECKPOINT


def folders_of(tuned: Sequence[Path], backbone: Mapping[str, Any], checkpoint: str | None) -> tuple[Path, Path | None]:
    """Where a cell's model is, and its adapter where it is one: tuned here, trained elsewhere, or its backbone."""
    from codedose.backbone import resolve
    from codedose.joined import located

    trained = checkpoint or (str(tuned[0] / CHECKPOINT) if tuned else None)
    return located(trained, backbone) if trained else (resolve(**backbone), None)


@lru_cache(maxsize=1)
def loaded(folder: Path, adapter: Path | None, engine_name: str, dtype: str) -> Any:
    """The model and tokenizer of a folder as an engine holds them; the last one asked for stays in this process.

    What was held before goes first: two may not fit, and vLLM refuses to start where most of a GPU is not free.
    """
    from codedose.generate import engine

    forget_models()
    return engine(engine_name).load(folder, dtype, adapter)


def forget_models() -> None:
    """Free what models took here, for another one: torch would keep a GPU's memory for itself."""
    import torch

    loaded.cache_clear()
    gc.collect()
    torch.cuda.empty_cache()

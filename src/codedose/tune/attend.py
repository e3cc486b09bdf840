"""Attention within documents that stand one behind the other in one row: none sees another, and no T x T mask is made.

Registered with transformers as an attention of its own name, so every model takes it that lets attention be chosen.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

NAME = "codedose_documents"


@contextmanager
def within_documents(model: Any, *, packed: bool) -> Iterator[None]:
    """While this lasts the model's attention keeps documents apart. What it was before is put back."""
    if not packed:
        yield
        return
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    documents: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Any, None]:
    """Causal attention of one row (1 x heads x T x size) within `documents`, lengths that sum to T.

    Returns 1 x T x heads x size, as transformers takes it. Raises ValueError for what it does not know, such as soft
    caps: the caller then lays examples out in rows of their own.
    """
    if attention_mask is not None or rest.get("softcap") is not None or rest.get("s_aux") is not None:
        raise ValueError(
            "this attention needs a mask, a soft cap or sinks, which documents in one row do not have here"
        )
    if query.is_cuda and query.dtype.itemsize == 2:
        return varlen(query, key, value, tuple(documents), scaling, dropout, sliding_window), None
    apart = [states.split(list(documents), dim=2) for states in (query, key, value)]
    told = [
        one_document(*parts, scaling=scaling, dropout=dropout, window=sliding_window)
        for parts in zip(apart[0], apart[1], apart[2], strict=True)
    ]
    return told[0] if len(told) == 1 else joined(told), None


def joined(told: Sequence[Any]) -> Any:
    import torch

    return torch.cat(list(told), dim=1)


def one_document(query: Any, key: Any, value: Any, *, scaling: float | None, dropout: float, window: int | None) -> Any:
    """Causal attention of one document, within its window where it is longer than that; 1 x length x heads x size."""
    import torch

    length = query.shape[2]
    shared = query.shape[1] != key.shape[1]
    seen = banded(length, window, query.device) if window is not None and length > window else None
    told = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, dropout_p=dropout, is_causal=seen is None, scale=scaling, enable_gqa=shared
    )
    return told.transpose(1, 2)


def banded(length: int, window: int, device: Any) -> Any:
    """Who sees whom under a sliding window: itself and the `window` - 1 before it."""
    import torch

    place = torch.arange(length, device=device)
    back = place[:, None] - place[None, :]
    return (back >= 0) & (back < window)


def varlen(
    query: Any,
    key: Any,
    value: Any,
    documents: tuple[int, ...],
    scaling: float | None,
    dropout: float,
    window: int | None,
) -> Any:
    """The same by torch's kernel for documents of any length, which CUDA has for 16-bit numbers."""
    import torch
    from torch.nn.attention.varlen import varlen_attn

    if dropout:
        raise ValueError("torch's attention for documents of any length knows no dropout")
    ends, longest = borders(documents, str(query.device)), max(documents)
    told = varlen_attn(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        ends,
        ends,
        longest,
        longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    if not isinstance(told, torch.Tensor):
        raise TypeError("varlen_attn gives one tensor where nothing else is asked for")
    return told[None]


@lru_cache(maxsize=4)
def borders(documents: tuple[int, ...], device: str) -> Any:
    """Where documents begin and end, once for all layers."""
    import torch

    return torch.tensor([0, *documents], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)

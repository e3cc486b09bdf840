"""Keys and values of many replies side by side: a row for each reply, a column for each of its positions.

Every reply starts in column 0 whatever its length, so that a shared beginning is computed once and copied, and a
reply that has ended gives its row to another one. transformers' own caches pad on the left and grow by copying.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass
class Places:
    """Where the next forward pass writes: `rows` of the shelf, and the column of each token (rows x tokens).

    It reads the first `width` columns. The last column of the shelf is for padding, and never read.
    """

    size: tuple[int, int]
    rows: slice = field(default_factory=lambda: slice(0, 0))
    columns: Any = None
    width: int = 0


class Shelf(CacheLayerMixin):  # type: ignore[misc]  # transformers is read without types
    """One layer's keys and values (rows x heads x columns x size of a head)."""

    is_sliding = False

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        rows, columns = self.places.size
        self.keys, self.values = (
            states.new_zeros(rows, states.shape[1], columns, states.shape[3]) for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, columns = self.places.rows, self.places.columns
        at = torch.arange(rows.start, rows.stop, device=columns.device)[:, None]
        self.keys[at, :, columns] = key_states.transpose(1, 2)
        self.values[at, :, columns] = value_states.transpose(1, 2)
        return self.keys[rows, :, : self.places.width], self.values[rows, :, : self.places.width]

    def copy(self, start: int, to: slice, columns: int) -> None:
        """Copy the first columns of one row to others."""
        for states in (self.keys, self.values):
            states[to, :, :columns] = states[start, :, :columns]

    def get_seq_length(self) -> int:
        return 0  # positions are always said outright

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.places.width, 0

    def get_max_length(self) -> int:
        return self.places.size[1]


@dataclass(frozen=True)
class Shelves:
    """The shelves of all layers of a model."""

    model: Any
    places: Places
    cache: Any

    @classmethod
    def of(cls, model: Any, rows: int, columns: int) -> "Shelves":
        places = Places((rows, columns + 1))
        layers = model.config.get_text_config().num_hidden_layers
        return cls(model, places, Cache(layers=[Shelf(places) for _ in range(layers)]))

    def read(self, rows: slice, starts: Sequence[int], fed: Sequence[Sequence[int]]) -> Any:
        """Feed each row its tokens, from column `starts` on; the hidden state after each last one (rows x size)."""
        device = self.model.device
        longest = max(len(tokens) for tokens in fed)
        sizes = torch.tensor([len(tokens) for tokens in fed], device=device)
        first = torch.tensor(starts, device=device)[:, None]
        tokens = torch.tensor([[*some, *[0] * (longest - len(some))] for some in fed], device=device)
        place = torch.arange(longest, device=device)[None]
        positions = first + place
        self.places.rows, self.places.width = rows, int((first[:, 0] + sizes).max())
        self.places.columns = positions.where(place < sizes[:, None], torch.tensor(self.places.size[1] - 1))
        hidden = self.model.get_decoder()(
            input_ids=tokens,
            attention_mask=masks(self.model, positions, self.places.width),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        return hidden[torch.arange(len(fed), device=device), sizes - 1]

    def copy(self, start: int, to: slice, columns: int) -> None:
        for layer in self.cache.layers:
            layer.copy(start, to, columns)


def masks(model: Any, positions: Any, width: int) -> Any:
    """What each position sees (rows x 1 x tokens x columns): itself and what stands before it, within its window.

    A dictionary by kind of layer where a model has several, as transformers takes it.
    """
    config = model.config.get_text_config()
    kinds = kinds_of_layers(config)
    column = torch.arange(width, device=positions.device)
    before = column <= positions[..., None]
    found = {}
    for kind in kinds:
        seen = before & (column > positions[..., None] - config.sliding_window) if kind == SLIDING else before
        found[kind] = fitting(model, seen[:, None])
    return found if len(found) > 1 else next(iter(found.values()))


FULL, SLIDING = "full_attention", "sliding_attention"


def kinds_of_layers(config: Any) -> list[str]:
    """The kinds of attention that a model's layers have, as its config names them."""
    if listed := getattr(config, "layer_types", None):
        return sorted(set(listed))
    return [SLIDING if getattr(config, "sliding_window", None) and uses_window(config) else FULL]


def uses_window(config: Any) -> bool:
    """Qwen writes a window into its config that only counts when this says so."""
    return bool(getattr(config, "use_sliding_window", True))


def fitting(model: Any, seen: Any) -> Any:
    """The mask as the model's attention takes it: true and false, or numbers to add where it adds them."""
    if model.config._attn_implementation != "eager":
        return seen
    least = torch.finfo(model.dtype).min
    return torch.zeros(seen.shape, dtype=model.dtype, device=seen.device).masked_fill(~seen, least)

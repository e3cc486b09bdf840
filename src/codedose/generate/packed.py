"""The vocabulary head in the layout that a CPU multiplies fastest with: oneDNN's blocks, made once when it is loaded.

The layers before it gain nothing by it (LOG.md). A head with weights of its own gives them up for the blocks; one that
shares them with the embedding is there twice (vocabulary x size x 4 bytes). For asking alone: blocks cannot be trained.
"""

from typing import Any

import torch

ROWS = 64  # of a product, for which oneDNN chooses the blocks; it reads them for any other number as well


class Packed(torch.nn.Module):
    """A linear layer over blocks: rows x in_features -> rows x out_features."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.blocks = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS)
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, rows: Any) -> Any:
        return torch.ops.mkldnn._linear_pointwise(rows, self.blocks, self.bias, "none", [], "")


def with_packed_head(model: Any) -> Any:
    """The model, its head packed where its device and numbers have such a layout."""
    head = model.get_output_embeddings()
    is_there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if is_there and model.device.type == "cpu" and model.dtype == torch.float32 and type(head) is torch.nn.Linear:
        model.set_output_embeddings(Packed(head))
    return model

"""What the machine can do at most, measured in the run that is compared with it."""

import time
from collections.abc import Callable
from typing import Any


def matrix_peak(kind: Any) -> float:
    """Operations a second in a product of two square matrices of 1,024 rows, in the torch type `kind`."""
    import torch

    one, other = (torch.randn(1024, 1024).to(kind) for _ in range(2))
    return 2 * 1024**3 / fastest(lambda: one @ other)


def memory_speed() -> float:
    """Bytes read a second where nothing is reused."""
    import torch

    block = torch.randn(64, 1024, 1024)
    return block.numel() * 4 / fastest(block.sum)


def fastest(do: Callable[[], object]) -> float:
    """Seconds of the quickest of eight calls, after one that warms up."""
    do()
    times = []
    for _ in range(8):
        start = time.perf_counter()
        do()
        times.append(time.perf_counter() - start)
    return min(times)

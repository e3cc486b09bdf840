"""Conversations -> coding, math or other by what they are about, with a probability.

Multinomial logistic regression on hashed words (features.py). Its weights ship with the package; train.py
made them, from text whose licence allows it, and says how well they do.
"""

import hashlib
from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.numpy import load

from codedose.label.features import Features, features
from codedose.tables import LABELS

WEIGHTS = "model.safetensors"
BATCH = 2_000  # conversations read at once, for memory

Weights = dict[str, NDArray[np.float64]]


def label_model(examples: pl.DataFrame) -> pl.DataFrame:
    """One row per example, in their order: example_id, label, confidence (the label's probability).

    An example's label depends on its messages alone, whatever stands beside it.
    """
    chances = np.concatenate([np.zeros((0, len(LABELS))), *map(probabilities, batches(examples["messages"]))])
    best = chances.argmax(axis=1)
    return examples.select(
        "example_id",
        pl.Series("label", [LABELS[number] for number in best], pl.String),
        pl.Series("confidence", chances[np.arange(len(best)), best], pl.Float64),
    )


def batches(messages: pl.Series) -> list[pl.Series]:
    return [messages.slice(start, BATCH) for start in range(0, len(messages), BATCH)]


def probabilities(messages: pl.Series) -> NDArray[np.float64]:
    """The probability of each of LABELS for each conversation (rows x 3)."""
    return softmax(scores(features(messages), weights()) / weights()["temperature"])


@cache
def digest() -> str:
    """What the shipped weights are, for the key of whatever rests on their labels."""
    return hashlib.sha256(packed()).hexdigest()[:16]


def packed() -> bytes:
    return (files("codedose.label") / WEIGHTS).read_bytes()


def scores(found: Features, weights: Weights) -> NDArray[np.float64]:
    """The score of each label before the softmax (rows x 3); the sums run in the same order for every batch."""
    rows = len(found.facts)
    summed = weights["bias"] + np.zeros((rows, 1))
    for fact, weight in zip(found.facts.T, weights["facts"], strict=True):
        summed += fact[:, None] * weight
    parts = weights["words"][found.place] * found.value[:, None]
    return summed + np.stack([np.bincount(found.row, part, minlength=rows) for part in parts.T], axis=1)


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@cache
def weights() -> Weights:
    """The shipped weights: words (2^BITS x 3), facts (FACTS x 3), bias (3), temperature (1)."""
    stored = load(packed())
    return {name: values.astype(np.float64) for name, values in stored.items()}

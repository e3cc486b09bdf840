"""Licence-clear conversations -> the weights of model.py: the script that made the shipped file.

    python -m codedose.label.train ../shared/data          says how well it does, and writes nothing
    python -m codedose.label.train ../shared/data --write  makes src/codedose/label/model.safetensors anew

TRAINING.md lists the texts with their licences, and the figures. Nothing but ids and labels of the texts from
outside is part of the package; they are read where they are.
"""

import argparse
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy.optimize import minimize
from scipy.sparse import csr_array, hstack

from codedose.label.features import BITS, FACTS, Features, features
from codedose.label.model import WEIGHTS, Weights, softmax
from codedose.pool import starter
from codedose.tables import LABELS, MESSAGES

HERE = Path(__file__).parent
OPENINGS = HERE / "openings"

# How much an example of each source weighs, and how many are taken: real and written openings count most, since
# the templated sets hold thousands of examples of a few kinds.
WEIGHT = {
    "openings": 4.0,
    "talks": 4.0,
    "arena_hard_v0.1": 3.0,
    "oasst_en_100_tree": 3.0,
    "starter": 1.5,
    "gpteacher_codegen": 0.35,
    "gpteacher_roleplay": 0.5,
    "glaive_toolcall_en_demo": 0.3,
    "gsm8k": 0.3,
    "aqua": 0.3,
}
MOST = {"gpteacher_codegen": 1500, "gpteacher_roleplay": 1900, "gsm8k": 400, "aqua": 200}
UNANSWERED = 0.4  # of an example's weight goes to a copy without its replies, so that requests alone suffice
PENALTY = 5e-5  # L2, of the words; chosen on hand-labelled openings that are neither training nor final test
PENALTY_OF_FACTS = 0.1  # of that
FOLDS = 5
# Glaive's requests that are about code, data or numbers are left out: only chat is sure to be other.
UNSURE = re.compile(
    r"(?i)program|code|swift|python|script|calculat|area|number|split|average|tip|data|puzzle|function|sequence"
    r"|simulat|software|malfunction|algorithm|\d+ ?[-+*/^] ?\d"
)


@dataclass(frozen=True)
class Talk:
    """A conversation with its label: `turns` from the first request on."""

    source: str
    label: str
    turns: tuple[str, ...]


def talks(data: Path) -> list[Talk]:
    """Everything the model learns from, always in the same order."""
    return [*written(), *built_in(), *read_by_hand(data), *instructions(data), *tools(data), *problems(data)]


def rows(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.splitlines()]


def written() -> Iterator[Talk]:
    for name in LABELS:
        yield from (Talk("openings", name, tuple(row["turns"])) for row in rows(OPENINGS / f"{name}.jsonl"))
    for path in sorted(OPENINGS.glob("talks-*.jsonl")):
        yield from (Talk("talks", row["label"], tuple(row["turns"])) for row in rows(path))


def built_in() -> Iterator[Talk]:
    for row in (row for file in starter.files() for row in rows(file)):
        said = tuple(message["content"] for message in row["messages"] if message["role"] != "system")
        yield Talk("starter", row["label"], said)


def read_by_hand(data: Path) -> Iterator[Talk]:
    """Questions of Arena-Hard with their answers and threads of OpenAssistant, with the label that we gave each."""
    answers = {row["question_id"]: row for row in rows(data / "ift/arena_hard_v0.1_gpt-4-0314.jsonl.gz")}
    said: dict[str, tuple[str, ...]] = {}
    for row in rows(data / "ift/arena_hard_v0.1_questions.jsonl.gz"):
        answer = answers[row["question_id"]]["choices"][0]["turns"][0]["content"]
        said[row["question_id"]] = (row["turns"][0]["content"], answer)
    for row in rows(data / "ift/oasst_en_100_tree.jsonl.gz"):
        said[row["message_tree_id"]] = tuple(thread(row["prompt"]))[:3]
    yield from (Talk(row["source"], row["label"], said[row["id"]]) for row in rows(OPENINGS / "read.jsonl"))


def thread(message: dict[str, Any]) -> Iterator[str]:
    """The first reply to the first reply ... of a tree of messages."""
    yield message["text"]
    for reply in message.get("replies", [])[:1]:
        yield from thread(reply)


def instructions(data: Path) -> Iterator[Talk]:
    for name, label in (("gpteacher_codegen", "coding"), ("gpteacher_roleplay", "other")):
        for row in some(name, rows(data / f"ift/{name}.jsonl.gz")):
            request = "\n".join(part for part in (row["instruction"], row["input"]) if part)
            yield Talk(name, label, (request, row["response"]))


def tools(data: Path) -> Iterator[Talk]:
    for row in rows(data / "ift/glaive_toolcall_en_demo.jsonl.gz"):
        said = tuple(turn["value"] for turn in row["conversations"] if turn["from"] in ("human", "gpt"))
        if not UNSURE.search(said[0]):
            yield Talk("glaive_toolcall_en_demo", "other", said)


def problems(data: Path) -> Iterator[Talk]:
    for name, splits in (("gsm8k", ("train",)), ("aqua", ("dev", "test"))):
        found = [row for row in rows(data / f"benchmarks/{name}.jsonl.gz") if row["split"] in splits]
        yield from (Talk(name, "math", (row["question"],)) for row in some(name, found))


def some(name: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first rows of a line in which each has the place of its own hash."""
    return sorted(found, key=lambda row: sha256(json.dumps(row, sort_keys=True).encode()).hexdigest())[: MOST[name]]


@dataclass(frozen=True)
class Lessons:
    """Talks as the model reads them: one row each, and a second without replies where there were some."""

    found: Features
    label: NDArray[np.int64]
    weight: NDArray[np.float64]
    talk: NDArray[np.int64]


def lessons(all_talks: Sequence[Talk]) -> Lessons:
    said, label, weight, owner = [], [], [], []
    for number, talk in enumerate(all_talks):
        answered = len(talk.turns) > 1
        copies = [(talk.turns, 1 - UNANSWERED), (talk.turns[:1], UNANSWERED)] if answered else [(talk.turns, 1.0)]
        for turns, share in copies:
            said.append(turns)
            label.append(LABELS.index(talk.label))
            weight.append(WEIGHT[talk.source] * share)
            owner.append(number)
    return Lessons(features(messages_of(said)), np.array(label), np.array(weight), np.array(owner))


def messages_of(said: Sequence[Sequence[str]]) -> pl.Series:
    roles = ("user", "assistant")
    return pl.Series(
        [[{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)] for turns in said], dtype=MESSAGES
    )


def matrix(found: Features) -> Any:
    """Rows x (words, facts, 1), sparse."""
    shape = (len(found.facts), 1 << BITS)
    words = csr_array((found.value, (found.row, found.place)), shape=shape)
    return hstack([words, csr_array(found.facts), csr_array(np.ones((shape[0], 1)))]).tocsr()


def fit(inputs: Any, label: NDArray[np.int64], weight: NDArray[np.float64]) -> Weights:
    """Weights with the least penalised loss (multinomial, L2; L-BFGS from zero, so always the same)."""
    used = np.flatnonzero(np.diff(inputs.tocsc().indptr))
    seen = inputs[:, used].tocsr()
    turned, wanted, share = seen.T.tocsr(), np.eye(len(LABELS))[label], weight / weight.sum()
    penalty = np.where(used < 1 << BITS, PENALTY, PENALTY * PENALTY_OF_FACTS)
    penalty[used == (1 << BITS) + FACTS] = 0

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        now = flat.reshape(len(used), -1)
        chances = softmax(seen @ now)
        missed = -share @ np.log(chances[np.arange(len(label)), label] + 1e-300)
        slope = turned @ ((chances - wanted) * share[:, None]) + penalty[:, None] * now
        return float(missed + (penalty[:, None] * now**2).sum() / 2), slope.ravel()

    found = minimize(loss, np.zeros(len(used) * len(LABELS)), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    full = np.zeros((inputs.shape[1], len(LABELS)))
    full[used] = found.x.reshape(len(used), -1)
    words, facts, bias = np.split(full, [1 << BITS, (1 << BITS) + FACTS])
    return {"words": words, "facts": facts, "bias": bias[0], "temperature": np.ones(1)}


def held_out(lesson: Lessons) -> NDArray[np.float64]:
    """The scores of every row from a model that did not see its talk (5 folds by the talk's number)."""
    inputs, fold = matrix(lesson.found), lesson.talk % FOLDS
    told = np.zeros((len(fold), len(LABELS)))
    for number in range(FOLDS):
        away = fold == number
        part = fit(inputs[~away], lesson.label[~away], lesson.weight[~away])
        told[away] = inputs[away] @ np.concatenate([part["words"], part["facts"], part["bias"][None]])
    return told


def temperature(told: NDArray[np.float64], label: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    """What the scores must be divided by for the held-out probabilities to be the likeliest, to two digits."""
    tried = np.round(np.arange(0.5, 3.0, 0.05), 2)
    place = np.arange(len(label))
    losses = [-weight @ np.log(softmax(told / value)[place, label] + 1e-300) for value in tried]
    return float(tried[int(np.argmin(losses))])


def train(data: Path) -> Weights:
    """The weights as they are shipped, with the temperature that held-out text asks for."""
    lesson = lessons(talks(data))
    made = fit(matrix(lesson.found), lesson.label, lesson.weight)
    return made | {"temperature": np.array([temperature(held_out(lesson), lesson.label, lesson.weight)])}


def stored(made: Weights) -> bytes:
    """The file: words in half precision, the rest in single."""
    whole: bytes = save(
        {name: values.astype(np.float16 if name == "words" else np.float32) for name, values in made.items()}
    )
    return whole


def reliability(
    chances: NDArray[np.float64], label: NDArray[np.int64]
) -> tuple[list[tuple[str, int, float, float]], float]:
    """For each band of confidence its name, count, mean confidence and accuracy; and the expected calibration error."""
    sure, right = chances.max(axis=1), chances.argmax(axis=1) == label
    bands = [(low, low + 0.1) for low in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)]
    table = []
    for low, high in bands:
        inside = (sure > low) & (sure <= high)
        if inside.any():
            table.append(
                (f"{low:.1f}-{high:.1f}", int(inside.sum()), float(sure[inside].mean()), float(right[inside].mean()))
            )
    return table, sum(count * abs(mean - good) for _, count, mean, good in table) / len(label)


def report(data: Path) -> Iterator[str]:
    """Held-out accuracy by source, and the calibration, as lines of text."""
    everything = talks(data)
    lesson = lessons(everything)
    told = held_out(lesson)
    chances = softmax(told / temperature(told, lesson.label, lesson.weight))
    whole = np.concatenate([[True], np.diff(lesson.talk) > 0])
    source = np.array([everything[number].source for number in lesson.talk])
    for name in WEIGHT:
        ours = whole & (source == name)
        right = (chances[ours].argmax(axis=1) == lesson.label[ours]).mean()
        yield f"{name}: {ours.sum()} conversations, held out {right:.3f} right"
    real = whole & np.isin(source, ["openings", "talks", "arena_hard_v0.1", "oasst_en_100_tree", "starter"])
    table, error = reliability(chances[real], lesson.label[real])
    yield from (f"confidence {band}: {count}, mean {mean:.3f}, right {good:.3f}" for band, count, mean, good in table)
    yield f"expected calibration error {error:.3f} on {real.sum()}"


def main() -> None:
    asked = argparse.ArgumentParser(description="Train the classifier of purpose.")
    asked.add_argument("data", type=Path)
    asked.add_argument("--write", action="store_true")
    given = asked.parse_args()
    if given.write:
        (HERE / WEIGHTS).write_bytes(stored(train(given.data)))
    print("\n".join(report(given.data)))


if __name__ == "__main__":
    main()

"""Near duplicates by datatrove's MinHash, as its own examples run it, up to the list of what to remove.

    python search_with_datatrove.py TEXTS WORK WORKERS spacy|split

TEXTS is a folder of JSON lines {id, text}; WORK is an empty folder. Leaves WORK/groups.json: the ids of each
group of duplicates, the one that would stay first. Runs in the peers' environment.

Settings are datatrove's defaults (word 5-grams, 14 buckets of 8 hashes, xxhash, 64 bits): two texts of Jaccard
0.8 meet with probability 0.92, two of 0.72 with 0.65. `spacy` is its word splitter for English; `split` is white
space, the cheapest that it accepts, after it has removed punctuation itself.
"""

import json
import struct
import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.utils.word_tokenizers import WordTokenizer, load_word_tokenizer

ENGLISH = "en"


class WhiteSpace(WordTokenizer):
    """Words as white space parts them; the search asks for nothing else of a tokenizer."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        raise NotImplementedError

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        raise NotImplementedError


def search(texts: Path, work: Path, workers: int, words: str) -> None:
    config = MinhashConfig()
    shards = len(list(texts.iterdir()))
    splitter = load_word_tokenizer(ENGLISH) if words == "spacy" else WhiteSpace()
    signed, matched, found = (str(work / name) for name in ("signed", "matched", "found"))
    steps = (
        (shards, [JsonlReader(str(texts)), MinhashDedupSignature(signed, config, language=splitter)]),
        (config.num_buckets, [MinhashDedupBuckets(signed, matched, config=config)]),
        (1, [MinhashDedupCluster(matched, found, config=config, save_cluster_id=True)]),
    )
    for number, (tasks, pipeline) in enumerate(steps):
        # fork: a new interpreter for every task would count against datatrove
        LocalPipelineExecutor(
            pipeline,
            tasks=tasks,
            workers=min(workers, tasks),
            logging_dir=str(work / f"log{number}"),
            start_method="fork",
        ).run()


def groups(texts: Path, found: Path) -> list[list[str]]:
    """The ids of each group, the one that stays first."""
    together: dict[int, list[tuple[bool, str]]] = {}
    for number, shard in enumerate(sorted(texts.iterdir())):
        ids = [json.loads(line)["id"] for line in shard.read_text("utf-8").split("\n") if line]
        leaving = {place for (place,) in numbers(found / f"{number:06d}.remove", "<I")}
        for place, group in numbers(found / f"{number:06d}.clusters", "<2I"):
            together.setdefault(group, []).append((place in leaving, ids[place]))
    return [[name for _, name in sorted(members)] for members in together.values()]


def numbers(file: Path, layout: str) -> list[tuple[int, ...]]:
    return list(struct.iter_unpack(layout, file.read_bytes())) if file.exists() else []


if __name__ == "__main__":
    texts, work = Path(sys.argv[1]), Path(sys.argv[2])
    search(texts, work, int(sys.argv[3]), sys.argv[4])
    (work / "groups.json").write_text(json.dumps(groups(texts, work / "found")))

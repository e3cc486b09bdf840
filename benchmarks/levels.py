"""What a model can do: accuracy and answers found, by task, level and reading, beside chance. One table for LOG.md.

    .venv/bin/python benchmarks/levels.py [MODEL] [--items 16] [--limit 48]

MODEL is a folder in the transformers layout or builtin:smollm2-135m. Generated items, float32, greedy.
"""

import argparse
from collections import Counter

from codedose.backbone import BUILTIN, resolve
from codedose.generate import engine, replies, rules_of
from codedose.prompt import ask
from codedose.score import judge
from codedose.tables import READINGS
from codedose.tasks import TASKS
from codedose.tasks.task import LEVELS, Task, chance, prompt_of
from codedose.tasks.twins import generated

HEAD = "{:<15}{:>7}" + "{:>16}" * len(LEVELS) + "{:>22}"


def outcomes(task: Task, told: list[tuple[str, str, str, str]]) -> Counter[tuple[str, str]]:
    """How often each reading came to each outcome, of replies as (answer, text, finish, forced text)."""
    found: Counter[tuple[str, str]] = Counter()
    for answer, text, finish, forced in told:
        reply = {"answer": answer, "text": text, "finish": finish, "forced_text": forced}
        found.update((reading, outcome) for reading, _, outcome in judge(task, reply))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default=BUILTIN)
    parser.add_argument("--items", type=int, default=16, help="of each task and level")
    parser.add_argument("--limit", type=int, default=48, help="tokens of a reply")
    said = parser.parse_args()
    own = engine("transformers")
    loaded = own.load(resolve(said.model, None), "float32")
    rules = rules_of(loaded.tokenizer, limit=said.limit, at_answer=True, forced_limit=8)
    asked = [
        (task, level, item)
        for task in TASKS
        for level in LEVELS
        for item in generated(task, seed_name="levels", level=level, count=said.items).to_dicts()
    ]
    prompts = [
        ask(prompt_of(task, item["question"]), loaded.tokenizer, template="chatml", system=None)
        for task, _, item in asked
    ]
    written = replies(own, loaded, prompts, rules, batch_tokens=32768, progress=lambda *news: None)
    told: dict[tuple[str, int], list[tuple[str, str, str, str]]] = {}
    for (task, level, item), one in zip(asked, written, strict=True):
        text, forced = (
            loaded.tokenizer.decode(tokens, skip_special_tokens=True).strip() for tokens in (one.reply, one.forced)
        )
        told.setdefault((task.name, level), []).append((item["answer"], text, one.finish, forced))
    print(f"right under strict/lenient/forced of {said.items} items a level, and answers found over all levels, in %\n")
    print(HEAD.format("task", "chance", *(f"level {level}" for level in LEVELS), "answers found"))
    for task in TASKS:
        found = {level: outcomes(task, told[task.name, level]) for level in LEVELS}
        right = ["/".join(percent(found[level][r, "right"], said.items) for r in READINGS) for level in LEVELS]
        whole = sum(found.values(), Counter())
        some = [whole[reading, "right"] + whole[reading, "wrong"] for reading in READINGS]
        answered = "/".join(percent(count, said.items * len(LEVELS)) for count in some)
        print(HEAD.format(task.name, f"{100 * chance(task, 1):.0f}", *right, answered))


def percent(count: int, of: int) -> str:
    return f"{100 * count / of:.0f}"


if __name__ == "__main__":
    main()

"""Draws -> folders that TRL, Axolotl and LLaMA-Factory train on: one file per arm and draw, in the order of slots.

Beside each file of conversations stands one with what codedose knows of each row (slot, step, label,
tokens), and a README that says what to set so that the tool neither draws again, nor shuffles, nor drops.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from codedose.errors import DataError
from codedose.keys import slug

Tool = Literal["trl", "axolotl", "llama-factory"]
TOOLS: tuple[Tool, ...] = ("trl", "axolotl", "llama-factory")
BESIDE = ("slot", "step", "example_id", "copy", "label", "tokens", "loss_tokens")
BREAKS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "\u2028\u2029\x85"}  # line breaks to some readers, not to JSON

COMMON = """# {title}

One file holds one arm of one draw, in the order of its slots; `NAME.slots.jsonl` says for each row which slot, step,
label and copy it is, and what it costs in tokens. Train each file alone: the arms are not to be mixed again.

| file | arm | draw | rows | tokens |
|---|---|---|---|---|
{rows}
{steps}
{how}"""

BY_TOKENS = """
These arms are matched on tokens: `step` in the slots file names the optimiser step that takes a row in, and steps hold
different numbers of rows. {title} takes steps of equal rows, so its steps will not be these, and arms differ in their
number of steps. Train with `codedose tune` where that matters.
"""

HOW: Mapping[Tool, str] = {
    "trl": """
    from datasets import load_dataset
    from trl import SFTConfig, SFTTrainer

    data = load_dataset("json", data_files="NAME.jsonl", split="train")
    how = SFTConfig(
        train_sampling_strategy="sequential",  # rows in the order of slots (transformers 5)
        packing=False,
        max_length=...,                        # the study's tune.max_length: TRL's own is 1024, and it cuts
        assistant_only_loss=True,              # needs a chat template with generation marks
        dataloader_drop_last=False,
    )

- Do not mix the files with `fraction` or `interleave_datasets`: both change the size of an arm with its share.
- batch size x accumulation x devices = the study's tune.step_size.
""",
    "axolotl": """
`NAME.yaml` holds the part of a configuration that names the data. It keeps the order (`shuffle_merged_datasets: false`,
`curriculum_sampling: true`), the repeated rows (`dataset_exact_deduplication: false`) and the long ones
(`excess_length_strategy: truncate`: the default drops every row longer than `sequence_len`, which thins the longer
class). Set `sequence_len` to the study's tune.max_length, and micro_batch_size x gradient_accumulation_steps x devices
to tune.step_size.
""",
    "llama-factory": """
Give this folder as `dataset_dir` and one name of `dataset_info.json` as `dataset`. Set

    disable_shuffling: true   # rows in the order of slots
    mix_strategy: concat      # interleaving draws again, with replacement
    max_samples: null
    val_size: 0.0
    packing: false
    cutoff_len: ...           # the study's tune.max_length: longer rows are cut

Do not set `num_samples` in dataset_info.json: it draws with replacement.
""",
}
TITLES: Mapping[Tool, str] = {"trl": "TRL", "axolotl": "Axolotl", "llama-factory": "LLaMA-Factory"}


def export(draws: pl.DataFrame, out: Path, *, tool: Tool) -> list[Path]:
    """Write every arm and draw (tables.DRAWS) into the folder `out`; the files of conversations come back.

    Raises DataError for a conversation that the tool would drop in silence, naming it, and for a folder
    that cannot be written.
    """
    if tool not in TOOLS:
        raise DataError(f"{tool!r} is none of the tools: {', '.join(TOOLS)}")
    arms = {key: frame.sort("slot") for key, frame in draws.partition_by("arm", "draw", as_dict=True).items()}
    for frame in arms.values():
        refuse_dropped(frame)
    try:
        out.mkdir(parents=True, exist_ok=True)
        return write_all(arms, out, tool)
    except OSError as problem:
        raise DataError(f"{out}: cannot be written ({problem})") from problem


def write_all(arms: Mapping[tuple[object, ...], pl.DataFrame], out: Path, tool: Tool) -> list[Path]:
    named = names([(str(arm), str(draw)) for arm, draw in arms])
    written, rows = [], []
    for (arm, draw), frame in arms.items():
        name = named[str(arm), str(draw)]
        file = out / f"{name}.jsonl"
        lines(file, ({"messages": messages} for messages in frame["messages"].to_list()))
        lines(out / f"{name}.slots.jsonl", frame.select(BESIDE).iter_rows(named=True))
        if tool == "axolotl":
            (out / f"{name}.yaml").write_text(axolotl(file.name), encoding="utf-8")
        tokens = frame["tokens"].sum() if frame["tokens"].null_count() == 0 else None
        rows.append(f"| {file.name} | {arm} | {draw} | {frame.height:,} | {'-' if tokens is None else f'{tokens:,}'} |")
        written.append(file)
    if tool == "llama-factory":
        told = {file.stem: dataset(file.name) for file in written}
        (out / "dataset_info.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    stepped = any(frame["step"].null_count() < frame.height for frame in arms.values())
    steps = BY_TOKENS.format(title=TITLES[tool]) if stepped else ""
    text = COMMON.format(title=f"Arms for {TITLES[tool]}", rows="\n".join(rows), steps=steps, how=HOW[tool])
    (out / "README.md").write_text(text, encoding="utf-8")
    return written


def names(arms: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A file name for each arm and draw; arms whose names look the same in a path get a number."""
    found: dict[tuple[str, str], str] = {}
    for arm, draw in arms:
        name, number = f"{slug(arm)}-draw{draw}", 2
        while name in found.values():
            name, number = f"{slug(arm)}-{number}-draw{draw}", number + 1
        found[arm, draw] = name
    return found


def lines(path: Path, rows: Iterable[object]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False).translate(BREAKS) + "\n")


def axolotl(file: str) -> str:
    """The data part of an Axolotl configuration."""
    return f"""datasets:
  - path: {json.dumps(file)}
    ds_type: json
    type: chat_template
    field_messages: messages
    message_property_mappings: {{role: role, content: content}}
    roles_to_train: [assistant]
    train_on_eos: turn
val_set_size: 0
shuffle_merged_datasets: false
curriculum_sampling: true
dataset_exact_deduplication: false
sample_packing: false
excess_length_strategy: truncate
"""


def dataset(file: str) -> dict[str, object]:
    """An entry of LLaMA-Factory's dataset_info.json."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    return {
        "file_name": file,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {**tags, "system_tag": "system"},
    }


def refuse_dropped(frame: pl.DataFrame) -> None:
    """DataError for a conversation that is not requests and replies by turns: some tools drop those."""
    for name, messages in frame.select("example_id", "messages").iter_rows():
        roles = [message["role"] for message in messages]
        turns = roles[1:] if roles[:1] == ["system"] else roles
        if not turns or turns != ["user", "assistant"] * (len(turns) // 2):
            raise DataError(
                f"the example {name} is not requests and replies by turns, and would be dropped without a word; "
                "make the pool with 'codedose pool', which mends or drops such conversations"
            )

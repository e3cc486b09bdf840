"""The adapters: read tables, call a stage, write tables. One function a kind of step, and no thinking.

Each fills the folder `out` from the folders of the steps it needs. A file is named after its table.

arms       sources -> pool, labels, mixes, and what differs between them
training   draws -> checkpoints
asking     checkpoints and items -> losses, replies, scores
telling    scores -> analysis and report
models     what steps of one process hand on; folders: what folders of steps hold
"""

from codedose.stages.arms import (
    balance_step,
    counter,
    exclude_step,
    held_out_step,
    label_step,
    leaks_step,
    lengths_step,
    mix_step,
    pool_step,
)
from codedose.stages.asking import generate_step, items_step, loss_step, score_step
from codedose.stages.folders import CHECKPOINT, REPLIES, SPENT, SUMMARY, save, take
from codedose.stages.telling import analyse_step, report_step
from codedose.stages.training import (
    encoded,
    interpolate_step,
    keep,
    smaller_together,
    smaller_training,
    together_step,
    tune_step,
)

__all__ = [
    "CHECKPOINT",
    "REPLIES",
    "SPENT",
    "SUMMARY",
    "analyse_step",
    "balance_step",
    "counter",
    "encoded",
    "exclude_step",
    "generate_step",
    "held_out_step",
    "interpolate_step",
    "items_step",
    "keep",
    "label_step",
    "leaks_step",
    "lengths_step",
    "loss_step",
    "mix_step",
    "pool_step",
    "report_step",
    "save",
    "score_step",
    "smaller_together",
    "smaller_training",
    "take",
    "together_step",
    "tune_step",
]

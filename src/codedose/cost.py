"""What a study will cost, before anything is downloaded: tokens, hours, memory and disk from a stated model.

The model. Training takes 6 floating-point operations per parameter and token; asking and measuring a loss take
2 per parameter and token that is read, and each decoding step reads all weights once. One GPU is an H100 (989
TFLOP/s bfloat16 dense, 3.35 TB/s, NVIDIA's data sheet), of which training reaches 40 % and decoding
60 % of the bandwidth; one CPU core reaches 100 GFLOP/s and reads 5 GB/s. A prediction calibrated on the machine at
hand is better than this one, and says so; this one only says which order of magnitude to expect.

On several GPUs each takes the next piece of work that may start, cell by cell: first a cell's training, which as many
GPUs share as its memory needs, then its losses and tasks side by side. Loading models, CPU steps (pool, arms, scores,
report: minutes) and what sharing a training costs are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from codedose.cells import cells
from codedose.study import Backbone, Study, TaskUse
from codedose.tables import LABELS

STARTER_TOKENS = 170  # mean tokens of a built-in conversation with SmolLM2's tokenizer, measured
SHAREGPT_TOKENS = 1200  # of a ShareGPT record: 973 (general) to 1,409 (code) assistant tokens, and the requests
LOSS_BEARING = 0.75  # share of a conversation's tokens that stand in replies
PROMPT_READ = 120  # tokens of a question with its instruction and template

GPU_FLOPS, GPU_SHARE = 989e12, 0.40
GPU_BYTES, GPU_BYTES_SHARE = 3.35e12, 0.60
FLOAT32_SLOWER = 15  # 989 TFLOP/s against 67 without tensor cores (the same sheet): a loss is measured in float32
CORE_FLOPS, CORE_BYTES = 100e9, 5e9

# Bytes a parameter while tuning with AdamW: float32 weights, gradients and two moments; and in a bfloat16 file.
TUNING_BYTES, FILE_BYTES, FLOAT32_BYTES = 16, 2, 4
GPU_MEMORY = 80e9  # bytes: the smaller of the H100s


@dataclass(frozen=True)
class Cost:
    """The expected cost of a study. Hours are of one GPU, and of two CPU cores."""

    runs: int
    cells: int
    replies: int
    training_tokens: float
    prompt_tokens: float
    reply_tokens: float  # at most: replies that stop early are shorter
    gpu_hours: float
    cpu_hours: float
    gpu_memory: float  # bytes, for the largest backbone, activations left out
    download: float  # bytes
    checkpoints: float  # bytes kept


@dataclass(frozen=True)
class Seconds:
    """Expected seconds: of one training, of one cell's losses on held-out text, and of asking each task by name."""

    tune: float
    loss: float
    tasks: Mapping[str, float]


def cost(study: Study) -> Cost:
    """The expected cost of a whole study."""
    runs = {backbone.name: runs_of(study, backbone) for backbone in study.backbones}
    asked = study.mix.draws * (len(study.mix.arms) + len(study.foreign)) * study.tune.seeds + study.untuned
    items = sum(task.count for task in study.tasks) * study.generate.samples
    limits = sum(task.count * (task.limit + study.generate.forced_tokens) for task in study.tasks)
    written = limits * study.generate.samples
    billions = [backbone.scale for backbone in study.backbones]
    trained = training_tokens(study)
    return Cost(
        runs=sum(runs.values()),
        cells=asked * len(billions),
        replies=asked * len(billions) * items,
        training_tokens=sum(runs.values()) * trained,
        prompt_tokens=asked * len(billions) * items * PROMPT_READ,
        reply_tokens=asked * len(billions) * written,
        gpu_hours=hours(study, asked, gpu=True),
        cpu_hours=hours(study, asked, gpu=False) / 2,
        gpu_memory=max(billions) * 1e9 * TUNING_BYTES,
        download=sum(b.scale for b in study.backbones if not b.model.startswith("builtin:")) * 1e9 * FILE_BYTES,
        checkpoints=sum(runs[b.name] * b.scale for b in study.backbones) * 1e9 * FILE_BYTES
        if study.keep_checkpoints
        else max(billions) * 1e9 * FILE_BYTES,
    )


@dataclass(frozen=True)
class Chain:
    """A cell's work in seconds of one GPU: its training, shared by so many GPUs, then what may go side by side."""

    training: float
    shared_by: int
    asking: Sequence[float]

    @property
    def longest(self) -> float:
        """Seconds that it takes with any number of GPUs."""
        return self.training / self.shared_by + max(self.asking)


def chains(study: Study) -> Iterator[Chain]:
    """The work of a study on GPUs, cell by cell; `study` says the limits of all of its tasks."""
    each = {backbone.name: seconds(study, backbone, gpu=True) for backbone in study.backbones}
    for cell in cells(study):
        found = each[cell.backbone.name]
        asking = (*([found.loss] if study.mix.held_out else []), *found.tasks.values())
        yield Chain(found.tune if cell.is_tuned_here else 0.0, shared_by(study, cell.backbone), asking)


def shared_by(study: Study, backbone: Backbone) -> int:
    """How many GPUs must share one training for their memory to hold it, activations left out."""
    each = TUNING_BYTES if study.tune.method == "full" else FILE_BYTES
    return int(-(-backbone.scale * 1e9 * each // GPU_MEMORY))


def wall_seconds(work: Sequence[Chain], gpus: int) -> float:
    """Seconds until so many GPUs have done all of it, each taking the first piece that may start.

    A training that more GPUs would have to share than there are is taken to fit all the same.
    """
    waiting: list[tuple[int, int, float, int]] = []  # cell, place in it, seconds, GPUs
    for number, chain in enumerate(work):
        training = (number, 0, chain.training, min(chain.shared_by, gpus))
        waiting += [training] if chain.training else asked(number, chain)
    heapify(waiting)
    busy: list[tuple[float, int, int, int]] = []  # until when, cell, place, GPUs
    now, free = 0.0, gpus
    while waiting or busy:
        while waiting and waiting[0][3] <= free:
            number, place, took, wanted = heappop(waiting)
            free -= wanted
            heappush(busy, (now + took / wanted, number, place, wanted))
        now, number, place, wanted = heappop(busy)
        free += wanted
        for piece in asked(number, work[number]) if place == 0 else ():
            heappush(waiting, piece)
    return now


def asked(number: int, chain: Chain) -> list[tuple[int, int, float, int]]:
    """What follows a cell's training: cell, place in it, seconds, GPUs."""
    return [(number, place, took, 1) for place, took in enumerate(chain.asking, 1)]


def runs_of(study: Study, backbone: Backbone) -> int:
    """Trainings of one backbone: those that were done elsewhere are not among them."""
    elsewhere = sum(each.backbone == backbone.name and each.arm not in study.foreign for each in study.joined or ())
    return study.mix.draws * len(study.mix.arms) * study.tune.seeds - elsewhere


def hours(study: Study, asked: int, *, gpu: bool) -> float:
    """Hours of one GPU, or of one CPU core, for all backbones."""
    total = 0.0
    for backbone in study.backbones:
        each = seconds(study, backbone, gpu=gpu)
        total += runs_of(study, backbone) * each.tune + asked * (each.loss + sum(each.tasks.values()))
    return total / 3600


def seconds(study: Study, backbone: Backbone, *, gpu: bool) -> Seconds:
    """What the steps of one backbone are expected to take on one GPU or one CPU core."""
    return Seconds(
        tune=seconds_to_tune(study, backbone, gpu=gpu),
        loss=seconds_to_measure(study, backbone, gpu=gpu),
        tasks={task.name: seconds_to_ask(study, backbone, task, gpu=gpu) for task in study.tasks},
    )


def example_tokens(study: Study) -> int:
    """Tokens of one example as it is trained on."""
    starter = all(source.path.startswith("builtin:") for source in study.pool.sources)
    return min(STARTER_TOKENS if starter else SHAREGPT_TOKENS, study.tune.max_length)


def training_tokens(study: Study) -> float:
    """Tokens of one training run."""
    tokens = example_tokens(study)
    a_unit = {"examples": tokens, "tokens": 1, "loss_tokens": 1 / LOSS_BEARING}[study.mix.match_on]
    taken_in = (
        study.tune.steps * study.tune.step_size if study.tune.steps else study.mix.budget * (study.tune.epochs or 1)
    )
    return taken_in * a_unit


def main_memory(study: Study, backbone: Backbone, *, gpu: bool) -> int:
    """Bytes of main memory that a step of one backbone takes at most, activations left out.

    Beside a GPU only the weights pass through it, in float32; adapters leave little else on a CPU.
    """
    only_weights = gpu or study.tune.method == "lora"
    return int(backbone.scale * 1e9 * (FLOAT32_BYTES if only_weights else TUNING_BYTES))


def seconds_to_tune(study: Study, backbone: Backbone, *, gpu: bool = False) -> float:
    """Expected seconds of one training run on one GPU or one CPU core."""
    speed = GPU_FLOPS * GPU_SHARE if gpu else CORE_FLOPS
    return 6 * backbone.scale * 1e9 * training_tokens(study) / speed


def seconds_to_measure(study: Study, backbone: Backbone, *, gpu: bool = False) -> float:
    """Expected seconds to measure one cell's loss on the held-out examples on one GPU or one CPU core."""
    speed = GPU_FLOPS * GPU_SHARE / FLOAT32_SLOWER if gpu else CORE_FLOPS
    return 2 * backbone.scale * 1e9 * example_tokens(study) * study.mix.held_out * len(LABELS) / speed


def seconds_to_ask(study: Study, backbone: Backbone, task: TaskUse, *, gpu: bool = False) -> float:
    """Expected seconds to ask one task's items of one cell on one GPU or one CPU core."""
    flops = GPU_FLOPS * GPU_SHARE if gpu else CORE_FLOPS
    bandwidth = GPU_BYTES * GPU_BYTES_SHARE if gpu else CORE_BYTES
    weights = backbone.scale * 1e9
    a_reply, count = task.limit + study.generate.forced_tokens, task.count * study.generate.samples
    batches = -(-count * (PROMPT_READ + a_reply) // study.generate.batch_tokens)
    steps, written = batches * a_reply, count * a_reply
    computed = 2 * weights * (count * PROMPT_READ + written) / flops
    return computed + steps * weights * FILE_BYTES / bandwidth

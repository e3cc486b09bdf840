"""What a study will cost, before anything is downloaded: tokens, hours, memory and disk from a stated model.

The model. Training takes 6 floating-point operations per parameter and token; asking and measuring a loss take
2 per parameter and token that is read, and each decoding step reads all weights once. One GPU is an H100 (989
TFLOP/s bfloat16 dense, 3.35 TB/s, NVIDIA's data sheet), of which training reaches 40 % and decoding
60 % of the bandwidth; one CPU core reaches 100 GFLOP/s and reads 5 GB/s. A prediction calibrated on the machine at
hand is better than this one, and says so; this one only says which order of magnitude to expect.
"""

from dataclasses import dataclass

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


def runs_of(study: Study, backbone: Backbone) -> int:
    """Trainings of one backbone: those that were done elsewhere are not among them."""
    elsewhere = sum(each.backbone == backbone.name and each.arm not in study.foreign for each in study.joined or ())
    return study.mix.draws * len(study.mix.arms) * study.tune.seeds - elsewhere


def hours(study: Study, asked: int, *, gpu: bool) -> float:
    """Hours of one GPU, or of one CPU core, for all backbones."""
    total = 0.0
    for backbone in study.backbones:
        total += runs_of(study, backbone) * seconds_to_tune(study, backbone, gpu=gpu)
        total += asked * seconds_to_measure(study, backbone, gpu=gpu)
        total += asked * sum(seconds_to_ask(study, backbone, task, gpu=gpu) for task in study.tasks)
    return total / 3600


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

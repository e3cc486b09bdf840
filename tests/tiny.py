"""Tiny random backbones of the six families: config, safetensors and a tokenizer trained here, in a folder each.

They have the shape of the real ones, not their size: the same transformers classes, tokenizer classes and
special tokens as on the hub, with 400 words and a few thousand parameters.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from codedose.keys import seed_for
from codedose.pool.starter import files

WORDS = 400  # learned tokens, on top of the bytes
CONTEXT = 2048

# As in Llama-3's tokenizer.json; Qwen's differs in that digits stand alone, which its class sees to.
LLAMA_3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)

LLAMA_2_CHAT = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'].strip() }} [/INST]"
    "{% elif m['role'] == 'system' %}<<SYS>>{{ m['content'] }}<</SYS>> "
    "{% else %} {{ m['content'].strip() }} {{ eos_token }}{% endif %}{% endfor %}"
)
LLAMA_3_CHAT = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA_CHAT = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


@dataclass(frozen=True)
class Words:
    """How a family's tokenizer differs from others of its kind. `start` and `stop` are tokens' names."""

    kind: str  # the tokenizer class that the hub's folders name
    bytes_only: bool  # byte-level BPE, or SentencePiece-like with bytes for unknown letters
    start: str | None
    stop: str
    chat_stop: str
    chat: str
    special: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """One family: its architecture in transformers, what its config says beyond sizes, its tokenizer."""

    name: str
    config: str
    words: Words
    more: Mapping[str, Any] = field(default_factory=dict)


SENTENCEPIECE = Words("LlamaTokenizer", False, "<s>", "</s>", "</s>", LLAMA_2_CHAT)
FAMILIES = (
    Family("Llama-1", "LlamaConfig", SENTENCEPIECE, {"num_key_value_heads": 4, "tie_word_embeddings": False}),
    Family("Llama-2", "LlamaConfig", SENTENCEPIECE, {"num_key_value_heads": 2, "tie_word_embeddings": False}),
    Family(
        "Llama-3",
        "LlamaConfig",
        Words(
            "PreTrainedTokenizerFast",
            True,
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|eot_id|>",
            LLAMA_3_CHAT,
            ("<|start_header_id|>", "<|end_header_id|>"),
        ),
        {"num_key_value_heads": 2, "tie_word_embeddings": True},
    ),
    Family(
        "Mistral",
        "MistralConfig",
        SENTENCEPIECE,
        {"num_key_value_heads": 2, "tie_word_embeddings": False, "sliding_window": 24},
    ),
    Family(
        "Qwen-1.5",
        "Qwen2Config",
        Words("Qwen2Tokenizer", True, None, "<|endoftext|>", "<|im_end|>", QWEN_CHAT, ("<|im_start|>",)),
        {"num_key_value_heads": 4, "tie_word_embeddings": False},
    ),
    Family(
        "Gemma",
        "GemmaConfig",
        Words(
            "GemmaTokenizer",
            False,
            "<bos>",
            "<eos>",
            "<end_of_turn>",
            GEMMA_CHAT,
            ("<start_of_turn>", "<pad>", "<mask>"),
        ),
        {
            "num_key_value_heads": 1,
            "tie_word_embeddings": True,
            "head_dim": 16,  # not hidden_size / heads
            "hidden_act": "gelu_pytorch_tanh",
        },
    ),
)
SIZES = ((1, 32), (2, 64))  # layers and hidden size of the two scales


def write_backbone(folder: Path, family: Family, *, layers: int, hidden: int, chat: bool = False) -> Path:
    """A backbone of that family and size in `folder`; always the same one. `chat` gives it a chat template."""
    import torch
    import transformers

    folder.mkdir(parents=True)
    tokenizer = write_tokenizer(folder, family, chat=chat)
    config = getattr(transformers, family.config)(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        # Ten times the usual spread, so that different prompts get different replies.
        initializer_range=0.2,
        **family.more,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed_for("tiny", family.name, layers, hidden))
        model = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            if parameter.ndim < 2:  # norms and biases start as ones and zeros: a test would not see them left out
                torch.nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.1)
    model.save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path, family: Family, *, chat: bool = False) -> Any:
    """The files of a family's tokenizer, and the tokenizer as the stages load it."""
    import transformers

    from codedose.backbone import load_tokenizer

    words = family.words
    said: dict[str, Any] = {"tokenizer_class": words.kind, "bos_token": words.start, "legacy": False}
    said |= {"eos_token": words.chat_stop, "chat_template": words.chat} if chat else {"eos_token": words.stop}
    said |= {} if words.bytes_only else {"unk_token": "<unk>"}
    (folder / "tokenizer.json").write_text(byte_level(words) if words.bytes_only else sentencepiece(words))
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    kind = getattr(transformers, family.config).model_type  # transformers chooses the tokenizer's class by it
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    return load_tokenizer(folder)


def special_tokens(words: Words) -> list[str]:
    named = ["" if words.bytes_only else "<unk>", words.start, words.stop, words.chat_stop, *words.special]
    return list(dict.fromkeys(name for name in named if name))


@cache
def byte_level(words: Words) -> str:
    """A byte-level BPE tokenizer as JSON, as Llama-3 and Qwen have: no unknown letters, spaces as they are."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    apart = pre_tokenizers.Split(Regex(LLAMA_3_SPLIT), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([apart, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=256 + WORDS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special_tokens(words)])
    return starting(tokenizer, words)


@cache
def sentencepiece(words: Words) -> str:
    """A BPE tokenizer as JSON in the manner of SentencePiece: spaces as ▁, unknown letters as bytes."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split(Regex("▁|\n"), "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=WORDS, limit_alphabet=120, show_progress=False)
    learner.train_from_iterator(texts(), trainer)
    learned = json.loads(learner.to_str())["model"]
    newline = {"\n"} if words.kind != "GemmaTokenizer" else set()  # Llama's has no token for the end of a line
    merges = [pair for pair in learned["merges"] if not newline & set("".join(pair))]
    first = [*special_tokens(words), *(f"<0x{byte:02X}>" for byte in range(256))]
    rest = [token for token in learned["vocab"] if not newline & set(token)]
    vocab = {token: place for place, token in enumerate(dict.fromkeys([*first, *rest]))}
    tokenizer = Tokenizer(
        models.BPE(vocab, [tuple(pair) for pair in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True)  # noqa: S106
    )
    spaces = normalizers.Replace(" ", "▁")
    told = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if words.kind == "LlamaTokenizer":  # which puts a space before every text; Gemma's does not
        spaces = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
        told.append(decoders.Strip(" ", 1, 0))
    tokenizer.normalizer = spaces
    tokenizer.decoder = decoders.Sequence(told)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special_tokens(words)])
    return starting(tokenizer, words)


def starting(tokenizer: Any, words: Words) -> str:
    """The tokenizer as JSON, with its start token before every text where it has one."""
    from tokenizers import processors

    if words.start:
        start = tokenizer.token_to_id(words.start)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{words.start} $A", special_tokens=[(words.start, start)]
        )
    return str(tokenizer.to_str())


@cache
def texts() -> list[str]:
    """What the tokenizers learn from: sentences and code of the built-in pool."""
    lines = [line for file in files() for line in file.read_text(encoding="utf-8").splitlines()[:60]]
    return [message["content"] for line in lines for message in json.loads(line)["messages"]]

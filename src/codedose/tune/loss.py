"""A model and a micro-batch -> its part of the step's loss, with the vocabulary head only where loss is borne."""

from functools import lru_cache
from typing import Any

from codedose.errors import MachineError
from codedose.prompt import Encoded
from codedose.study import Tune
from codedose.tune.attend import within_documents
from codedose.tune.layout import Batch, laid_out

HEAD_ROWS = 1024  # positions whose logits are held at once: 200 MB with 49,152 words in float32
AGREES = {"float32": 1e-3, "bfloat16_mixed": 3e-2, "bfloat16_pure": 3e-2}  # relative


def weighted_loss(model: Any, batch: Batch, precision: str) -> Any:
    """The weighted sum of next-token losses, in nats. Under causal attention nothing looks right into padding."""
    return weighted_losses(model, batch, precision)[0]


def weighted_losses(model: Any, batch: Batch, precision: str) -> tuple[Any, Any]:
    """The same sum, and what each of `batch.targets` adds to it, without gradient."""
    import torch

    told = {"documents": batch.documents} if batch.is_packed else {}
    with torch.autocast(batch.tokens.device.type, torch.bfloat16, enabled=precision == "bfloat16_mixed"):
        hidden = model.get_decoder()(
            input_ids=batch.tokens, position_ids=batch.positions, use_cache=False, **told
        ).last_hidden_state
    flat = hidden.reshape(-1, hidden.shape[-1]).index_select(0, batch.at)
    head = model.get_output_embeddings()
    if is_plain(head):
        total, each = head_loss()(flat, head.weight, batch.targets, batch.scale, precision)
        return total, each
    with torch.autocast(batch.tokens.device.type, torch.bfloat16, enabled=precision == "bfloat16_mixed"):
        logits = head(flat)
    each = torch.nn.functional.cross_entropy(logits.float(), batch.targets, reduction="none") * batch.scale
    return each.sum(), each.detach()


def is_plain(head: Any) -> bool:
    """Whether a head only multiplies."""
    import torch

    return type(head) is torch.nn.Linear and getattr(head, "bias", None) is None


@lru_cache(maxsize=1)
def head_loss() -> Any:
    """The head and its loss in one function of autograd, which finds its gradients on the way forward, in stretches.

    So no logits are kept: as in Liger Kernel's fused linear cross entropy (Hsu et al., 2024, arXiv 2410.10989).
    """
    import torch

    class HeadLoss(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, hidden: Any, weight: Any, targets: Any, scale: Any, precision: str) -> Any:
            kind = weight.dtype if precision == "float32" else torch.bfloat16
            exact = torch.promote_types(kind, torch.float32)
            words = weight.detach().to(kind)
            of_hidden = torch.empty_like(hidden)
            of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
            total, each = hidden.new_zeros((), dtype=exact), hidden.new_empty(len(hidden), dtype=exact)
            for start in range(0, len(hidden), HEAD_ROWS):
                part = slice(start, start + HEAD_ROWS)
                states = hidden[part].to(kind)
                logits = (states @ words.T).to(exact)
                whole = logits.logsumexp(-1)
                each[part] = (whole - logits.gather(1, targets[part, None])[:, 0]) * scale[part]
                total += each[part].sum()
                # d loss / d logits: what the model expects, less one for what came.
                logits.sub_(whole[:, None]).exp_()
                logits.scatter_add_(1, targets[part, None], logits.new_full((len(states), 1), -1.0))
                pull = logits.mul_(scale[part, None]).to(kind)
                of_hidden[part] = (pull @ words).to(hidden.dtype)
                if of_weight is not None:
                    of_weight += (pull.T @ states).to(weight.dtype)
            ctx.save_for_backward(of_hidden, *([] if of_weight is None else [of_weight]))
            ctx.mark_non_differentiable(each)
            return total, each

        @staticmethod
        def backward(ctx: Any, outer: Any, _: Any) -> Any:
            of_hidden, *of_weight = ctx.saved_tensors
            return of_hidden * outer, *([each * outer for each in of_weight] or [None]), None, None, None

    return HeadLoss.apply


def packs(model: Any, examples: list[Encoded], how: Tune) -> bool:
    """Whether documents may stand in one row, found out on the two shortest: the model's own loss is the judge.

    Raises MachineError when not even rows of their own give the loss that the model itself computes: its head does
    more than multiply, or its layers look at more than what stands before.
    """
    import torch

    shortest = sorted(examples, key=lambda example: len(example.tokens))[:2]
    weights, device = [1 / sum(e.loss_tokens for e in shortest)] * len(shortest), model.device
    with torch.no_grad():
        wanted = float(sum(own_loss(model, e, how.precision) * e.loss_tokens * weights[0] for e in shortest))
        for packed in (True, False):
            try:
                with within_documents(model, packed=packed):
                    batch = laid_out(shortest, weights, packed=packed, device=device)
                    found = float(weighted_loss(model, batch, how.precision))
            except (TypeError, ValueError):  # it takes no such attention
                continue
            if abs(found - wanted) <= AGREES[how.precision] * max(abs(wanted), 1e-3) or wanted != wanted:
                return packed
    raise MachineError(
        f"the loss of {type(model).__name__} is not that of a plain head after its layers ({found:.4f} against "
        f"{wanted:.4f}), so codedose cannot tune it; choose another backbone"
    )


def own_loss(model: Any, example: Encoded, precision: str) -> Any:
    """What transformers itself says: the mean loss over the loss-bearing tokens of one example."""
    import torch

    tokens = torch.tensor([example.tokens], device=model.device)
    labels = tokens.where(torch.tensor([example.loss], device=model.device), torch.tensor(-100, device=model.device))
    with torch.autocast(tokens.device.type, torch.bfloat16, enabled=precision == "bfloat16_mixed"):
        return model(input_ids=tokens, labels=labels, use_cache=False).loss

"""Bytes on a GPU in each phase of a step: sums that can be done by hand, term by term.

Parts that stay are exact. Activations are an estimate from what a block's backward needs; the sum was held against one
measurement, the growth of 50 GB of the 7B shape on an H200 (experiments/throughput).
"""

from __future__ import annotations

from zoom_iqa.planning.work import Settings

Phases = dict[str, dict[str, float]]
LOGIT_COPIES = 3
"""Rows of float32 logits at a time: logits, their log-softmax, its gradient."""
SUMMED_AT_ONCE = 50_000_000
"""Numbers of gradients that DeepSpeed gathers before it sums them, as parallel/deepspeed_zero.py sets it."""
MASTER_BYTES, STEP_BYTES = 12, 8
"""A float32 master and two moments; while stepping a float32 gradient too, and a root of the second moment."""


def memory(settings: Settings) -> Phases:
    """Bytes by phase and part: ``rollout`` (where the stage samples), ``update`` and ``step`` of the optimizer."""
    shape, number = settings.shape, settings.number_bytes
    adapters = float(number * settings.trained if settings.adapters else 0)
    stays = {"weights": policy_bytes(settings) + adapters, "optimizer": optimizer_bytes(settings)}
    if settings.reference:
        stays["reference"] = policy_bytes(settings)
    gradients = {"gradients": number * trained_here(settings)}
    phases: Phases = {}
    if settings.samples:
        passing = max(settings.prefilled, settings.work.answers) * block_bytes(settings)
        logits = LOGIT_COPIES * 4 * settings.work.answers * shape.vocabulary
        cache = float(settings.held_tokens * shape.key_value_bytes(number))
        copied = shape.block_weights if settings.adapters else shape.fused_weights
        own = {"weights of the engine": float(number * copied)}
        if settings.cut:
            own["whole weights"] = float(number * shape.text_parameters)
        working = {"keys and values": cache, "activations": float(max(passing, logits))}
        phases["rollout"] = {**stays, **own, **working}
    at_work = {"weights at work": at_work_bytes(settings)} if settings.cut else {}
    if settings.gradients_cut and not settings.cut:
        at_work = {"gradients at work": float(number * (shape.head_weights + SUMMED_AT_ONCE))}
    phases["update"] = {**stays, **gradients, **at_work, "activations": activation_bytes(settings)}
    phases["step"] = {**stays, **gradients}
    if settings.masters:
        phases["step"]["float32 gradients and roots"] = STEP_BYTES * settings.trained / settings.gpus
    return phases


def checkpoint_bytes(settings: Settings) -> float:
    """Bytes of a checkpoint on disk, over all its files: weights, masters and moments, of all processes together."""
    optimizer = MASTER_BYTES if settings.masters else 2 * settings.number_bytes
    adapters = settings.trained if settings.adapters else 0
    return float(settings.number_bytes * (settings.shape.parameters + adapters) + optimizer * settings.trained)


def policy_bytes(settings: Settings) -> float:
    """Bytes of a policy's weights without adapters: where they are cut up, a part of the language model's."""
    shape, share = settings.shape, settings.gpus if settings.cut else 1
    return settings.number_bytes * (shape.tower_parameters + shape.text_parameters / share)


def trained_here(settings: Settings) -> float:
    """Trained parameters whose gradients a GPU keeps: where these are cut up, a part of the language model's."""
    shared = settings.gradients_cut and not settings.adapters
    cut = min(settings.trained, settings.shape.text_parameters) if shared else 0
    return settings.trained - cut + cut / settings.gpus


def at_work_bytes(settings: Settings) -> float:
    """Bytes of weights that are put together at a time: two blocks, embedding and head; gradients of a block and those.

    The second block is fetched while the first is at work.
    """
    shape = settings.shape
    ends = shape.head_weights * (1 if shape.tied else 2)
    gradients = 0 if settings.adapters else shape.block_weights / shape.layers + ends
    return float(settings.number_bytes * (2 * shape.block_weights / shape.layers + ends + gradients))


def optimizer_bytes(settings: Settings) -> float:
    """Bytes of masters and moments on the GPU that keeps most of them, by an even share."""
    if settings.masters:
        return MASTER_BYTES * settings.trained / settings.gpus
    return 2.0 * settings.number_bytes * trained_here(settings)


def block_bytes(settings: Settings) -> int:
    """Bytes a token of what one block keeps for its backward.

    In 16 bits: two norms with a float32 copy, queries and keys before and after rotation, values, attention, two
    residuals (22 widths, 6 widths of keys), and gate, up, activation and their product (8 MLP widths).
    """
    shape = settings.shape
    sixteen_bits = 22 * shape.width + 6 * shape.key_value_width + 8 * shape.mlp_width
    return sixteen_bits * settings.number_bytes // 2


def activation_bytes(settings: Settings) -> float:
    """Bytes that the largest forward pass keeps, and the larger of one block and the output head at work."""
    shape, tokens = settings.shape, settings.forwarded
    kept = settings.number_bytes * shape.width if settings.checkpointing else block_bytes(settings)
    head = LOGIT_COPIES * 4 * min(settings.logit_chunk, tokens) * shape.vocabulary
    head += 0 if settings.adapters else 4 * shape.head_weights  # its gradient is summed in float32
    block = block_bytes(settings) * tokens if settings.checkpointing else 0
    return float(kept * shape.layers * tokens + max(head, block))


def peak(phases: Phases) -> tuple[str, float]:
    """The phase that takes most, and its bytes."""
    totals = {name: sum(parts.values()) for name, parts in phases.items()}
    name = max(totals, key=lambda phase: totals[phase])
    return name, totals[name]

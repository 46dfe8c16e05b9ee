"""The plan of a stage: what fits on a GPU, how long a step takes, and the first changes that make it fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from zoom_iqa.planning.duration import seconds
from zoom_iqa.planning.hardware import Gpu
from zoom_iqa.planning.memory import Phases, memory, peak
from zoom_iqa.planning.work import Settings

RANK, TARGETS = 64, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Those of policy/lora=r64."""
MOST_GPUS = 1024
Changes = Iterator[tuple[str, Settings]]


@dataclass(frozen=True)
class Plan:
    """A stage's bytes by phase and seconds of a step.

    Where it does not fit, ``changes`` are the alternatives that would, each what to give and the peak in bytes then.
    """

    settings: Settings
    phases: Phases
    seconds: dict[str, float]
    fits: bool
    changes: tuple[tuple[str, float], ...]


def plan(settings: Settings, gpu: Gpu) -> Plan:
    """The plan of a stage on such GPUs."""
    phases = memory(settings)
    fits = peak(phases)[1] <= gpu.usable
    changes = () if fits else tuple(_changes(settings, gpu))
    return Plan(settings, phases, seconds(settings, gpu), fits, changes)


def _changes(settings: Settings, gpu: Gpu) -> Iterator[tuple[str, float]]:
    """The least of the changes that change no result; else adapters, or more GPUs, with those only where needed."""
    given: list[str] = []
    lean = settings
    for said, lean in _lean(settings):
        given.append(said)
        bytes_then = peak(memory(lean))[1]
        if bytes_then <= gpu.usable:
            yield " ".join(given), bytes_then
            return
    for way in (_adapters, _cut, _more_gpus):
        sized = ((said, peak(memory(changed))[1]) for said, changed in _alone_or_with(given, way(settings), way(lean)))
        fitting = next(((said, bytes_then) for said, bytes_then in sized if bytes_then <= gpu.usable), None)
        if fitting is not None:
            yield fitting


def _alone_or_with(given: Sequence[str], alone: Changes, lean: Changes) -> Changes:
    """Each change by itself, then on top of what was given before."""
    for (said, changed), (_, changed_too) in zip(alone, lean, strict=True):
        yield said, changed
        yield " ".join([said, *given]), changed_too


def _lean(settings: Settings) -> Changes:
    """Step by step what ``machine`` can spare: each is made on top of the one before."""
    longest = settings.work.longest
    if not settings.checkpointing:
        settings = replace(settings, checkpointing=True)
        yield "machine.gradient_checkpointing=true", settings
    if settings.samples and settings.micro_batch_tokens > longest:
        settings = replace(settings, micro_batch_tokens=longest)
        yield f"machine.micro_batch_tokens={longest}", settings
    if settings.samples and settings.held_tokens > 4 * longest:
        settings = replace(settings, token_budget=4 * longest)
        yield f"machine.token_budget={4 * longest}", settings


def _adapters(settings: Settings) -> Changes:
    """The reference is then the same weights under the adapters of the start."""
    if not settings.adapters:
        trained = settings.shape.adapter_parameters(rank=RANK, targets=TARGETS)
        adapted = replace(settings, trained=trained, adapters=True, reference=False, tower=False)
        said = ["policy/lora=r64"]
        if settings.tower:  # nothing learns beside adapters
            said.append(f"{settings.stage}.module.freeze_vision_tower=true")
        if settings.deepspeed:  # it trains none
            said.append("trainer=fsdp")
            adapted = replace(adapted, zero=0, deepspeed=False, cut=settings.gpus > 1)
        yield " ".join(said), adapted


def _cut(settings: Settings) -> Changes:
    """Weights and gradients shared out, too."""
    if not settings.cut and settings.gpus > 1:
        cut = replace(settings, cut=True, zero=3 if settings.zero else 0)
        yield "trainer=deepspeed_zero3" if settings.zero else "trainer=fsdp", cut


def _more_gpus(settings: Settings) -> Changes:
    gpus = 2 * settings.gpus
    while (settings.masters or settings.cut) and gpus <= MOST_GPUS:  # only then they share anything
        yield f"gpus={gpus}", replace(settings, gpus=gpus)
        gpus *= 2

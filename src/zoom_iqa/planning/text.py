"""A plan as text: bytes by phase, seconds by phase, and what to change."""

from __future__ import annotations

from zoom_iqa.planning.hardware import Gpu
from zoom_iqa.planning.memory import checkpoint_bytes, peak
from zoom_iqa.planning.plan import Plan

ASSUMED = (
    "Upper limits: every answer asks for a second turn and is as long as it may be.\n"
    "Probes, judges, the further passes of filters and validation are not counted.\n"
    "Times follow rates measured on one H200, and data sheets for other GPUs; communication is not counted."
)


def plan_text(plan: Plan, *, gpu_name: str, gpu: Gpu) -> str:
    """Some lines about one stage."""
    settings, work = plan.settings, plan.settings.work
    phase, most = peak(plan.phases)
    verdict = "fits" if plan.fits else "does not fit"
    lines = [
        f"{settings.stage} on {settings.gpus} x {gpu_name}, trainer={settings.trainer}: {verdict}; {_gb(most)} of "
        f"{_gb(gpu.usable)} GB a GPU that a run may take, at the {phase}",
        f"  a step: {work.images} images x {work.group} answers a GPU, turns of {work.prompt:,} and "
        f"{work.second_prompt:,} + {work.new_tokens:,} tokens; {settings.trained / 1e6:,.1f} of "
        f"{settings.shape.parameters / 1e6:,.1f} million parameters trained",
        "",
        *_table(plan),
        "",
        f"  {_times(plan)}",
        f"  {_disk(plan)}",
    ]
    if settings.tower:
        lines += ["", "  no upper limit: of the tower, which learns, passes and activations are not counted"]
    if not plan.fits:
        found = [f"  {change}  ({_gb(bytes_then)} GB)" for change, bytes_then in plan.changes]
        lines += ["", "to change (any one line of these):", *found] if found else ["", "to change: a smaller policy"]
    return "\n".join(lines) + "\n"


def _table(plan: Plan) -> list[str]:
    parts = list(dict.fromkeys(part for phase in plan.phases.values() for part in phase))
    width = max(map(len, parts))
    rows = ["  " + f"{'GB a GPU':{width}}" + "".join(f"{name:>10}" for name in plan.phases)]
    for part in parts:
        cells = (f"{_gb(phase[part]) if part in phase else '-':>10}" for phase in plan.phases.values())
        rows.append(f"  {part:{width}}" + "".join(cells))
    totals = "".join(f"{_gb(sum(phase.values())):>10}" for phase in plan.phases.values())
    return [*rows, f"  {'together':{width}}{totals}"]


def _times(plan: Plan) -> str:
    total = sum(plan.seconds.values())
    shown = ", ".join(f"{name} {value:.1f}" for name, value in plan.seconds.items())
    steps = plan.settings.steps
    whole = "" if steps is None else f"; {steps:,} steps: {steps * total / 3600:.1f} h"
    return f"{total:.1f} s a step ({shown}){whole}"


def _disk(plan: Plan) -> str:
    """Room for checkpoints: one is written beside all that are kept."""
    most, each = plan.settings.keep_checkpoints + 1, checkpoint_bytes(plan.settings)
    return f"on disk {_gb(most * each)} GB while a checkpoint is written: {most} of {_gb(each)} GB"


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f}"

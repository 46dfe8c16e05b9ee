"""The console command ``zoom-iqa NAME``: the same as ``python -m zoom_iqa.NAME``, and a menu of all there is."""

from __future__ import annotations

import difflib
import runpy
import sys
import textwrap

import zoom_iqa
from zoom_iqa.config.late import told_output

COMMANDS = {
    "train": "train a policy: SFT, GRPO, an evaluation after each",
    "evaluate": "measure how well a policy agrees with people on benchmarks",
    "evaluate_peer": "the same of another method: NIQE, BRISQUE, pyiqa's",
    "assess": "rate photographs: a card for each, or JSON, or CSV",
    "demo": "a page in a browser: drop an image, watch it being judged",
    "guide": "prompts for a restorer, or the image restored itself",
    "curate": "have a model judge images, filter that, export it for SFT",
    "judge": "have a model grade what systems wrote about images",
    "report": "a run as one page; the paper's tables with rows of yours",
    "export": "a run's policy as a folder that transformers loads",
    "serve": "vLLM for the rollouts of runs with rollout=vllm_server",
    "plan": "what fits on which GPUs, and how long a step takes",
    "data": "check a benchmark's copy here, or convert published texts",
    "make_tiny_policy": "make the small policy shipped with the package again",
}
"""Module and summary of each command; a line here is all that a new one needs."""

WIDTH = 80


@told_output()
def main() -> None:
    """Run the command that is named, as ``python -m`` would."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(_menu(), end="")
    elif name == "--version":
        print(zoom_iqa.__version__)
    elif name in COMMANDS:
        sys.argv[1:] = arguments
        runpy.run_module(f"zoom_iqa.{name}", run_name="__main__", alter_sys=True)
    else:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        guess = f" did you mean {close[0]}?" if close else ""
        print(f"error: {name!r}: there is no such command;{guess} Valid: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)


def _menu() -> str:
    rows = [f"  {name:<17} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: zoom-iqa COMMAND ... (or python -m zoom_iqa.COMMAND ...)",
            "",
            textwrap.fill(zoom_iqa.__doc__ or "", WIDTH),
            "",
            *rows,
            "",
            "zoom-iqa COMMAND --help shows its arguments and an example that runs.",
            "",
            "example:",
            "  zoom-iqa evaluate benchmark=embedded limit=8",
            "",
        ]
    )


if __name__ == "__main__":
    main()

"""Serve rollouts: ``python -m zoom_iqa.serve policy.path=FOLDER_OR_HUB_ID [key=value]`` runs vLLM for training runs.

Runs with ``rollout=vllm_server machine.vllm_url=http://HOST:PORT`` push their weights to it and sample from it; the
policy named here gives the shape alone. Whoever reaches the address can use it: there is no password.
"""

from __future__ import annotations

from zoom_iqa.config.help import choices, help_of
from zoom_iqa.config.late import run_late

HELP = help_of(
    "python -m zoom_iqa.serve policy.path=FOLDER_OR_HUB_ID [KEY=VALUE ...]",
    summary="Runs vLLM in an environment that has it (make vllm-env), for training runs with rollout=vllm_server, "
    "which push their weights: processes of one run, or several runs in turn.",
    given={
        "policy.path": "a Qwen2.5-VL of the runs' shape; without it the small one shipped with the package",
        "policy": f"one of {choices('policy')}, where the path's name does not tell",
        "host, port": "of the address; this machine alone reaches 127.0.0.1, and port=0 takes a free one",
        "rollout.KEY": "cache_tokens, rows, context_tokens and others of conf/rollout/vllm.yaml",
    },
    example="python -m zoom_iqa.serve port=8100 rollout.rows=64",
)


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_late("zoom_iqa.config.serving_run", help_text=HELP)


if __name__ == "__main__":
    main()

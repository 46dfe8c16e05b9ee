"""The body of ``zoom_iqa.serve``: vLLM in this process, asked by training runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

import transformers
from hydra.utils import instantiate
from omegaconf import DictConfig

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.checks import check_config, check_read
from zoom_iqa.config.command_line import overrides_of, with_policy
from zoom_iqa.config.commands import run_command
from zoom_iqa.config.composition import composed
from zoom_iqa.config.machine import check_machine
from zoom_iqa.engines.vllm.engine import VllmEngineRecipe
from zoom_iqa.engines.vllm.serving import of_language
from zoom_iqa.engines.vllm.shared.http_server import http_server
from zoom_iqa.engines.vllm.shared.model import SharedModel
from zoom_iqa.engines.vllm.shared.weight_files import shape_of
from zoom_iqa.policy.lora import plain_state_dict
from zoom_iqa.policy.policy import Policy

READ_HERE = ("host", "port", "machine")


def run() -> None:
    """The command, when its help was not asked for: errors made on purpose end in one line and status 2."""
    run_command(_command)


def compose_config(arguments: Sequence[str]) -> DictConfig:
    """The config of a command line.

    Raises:
        ConfigError: an argument or a value is wrong.
    """
    cfg = composed("serve", with_policy("serve", overrides_of(arguments)))
    check_machine(cfg.machine)
    check_config(cfg)
    check_read(cfg, read=READ_HERE)
    return cfg


def _command() -> None:
    transformers.utils.logging.disable_progress_bar()
    cfg = compose_config(sys.argv[1:])
    if not isinstance(cfg.port, int) or not 0 <= cfg.port < 2**16:
        raise ConfigError(f"port={cfg.port} must be a whole number from 0 to {2**16 - 1}")
    recipe = instantiate(cfg.rollout)
    if not isinstance(recipe, VllmEngineRecipe):
        raise ConfigError("rollout: only vLLM is served; leave it out, or set rollout=vllm")
    policy: Policy = instantiate(cfg.policy)
    served = recipe.served(policy)
    shape = shape_of(dict(of_language(plain_state_dict(policy.model))))
    del policy  # its weights are the runs' to give
    shared = SharedModel(served, shape=shape, context_tokens=served.context_tokens)
    with http_server(shared, host=cfg.host, port=cfg.port) as server:
        threading.Thread(target=server.serve_forever, daemon=True, name="calls").start()
        host, port = server.server_address[:2]
        print(f"rollouts of {cfg.policy.path} at http://{host!s}:{port}", flush=True)
        shared.run(threading.Event())

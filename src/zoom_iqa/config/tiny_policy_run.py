"""The body of ``zoom_iqa.make_tiny_policy``: photographs, tokenizer, tower and language model, in order."""

from __future__ import annotations

import shutil
from pathlib import Path

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from zoom_iqa.config.checks import check_config
from zoom_iqa.config.commands import expected_errors, run_command
from zoom_iqa.config.location import conf_dir
from zoom_iqa.config.machine import check_machine
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.build import build_tiny_policy
from zoom_iqa.tiny_policy.collection import collect, table
from zoom_iqa.tiny_policy.tokenizer import train_tokenizer
from zoom_iqa.tiny_policy.vocabulary import project_texts


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="make_tiny_policy")
def _main(cfg: DictConfig) -> None:
    with expected_errors():
        make(cfg, Path(HydraConfig.get().runtime.output_dir))


def run() -> None:
    """The command, when its help was not asked for: errors made on purpose end in one line and status 2."""
    run_command(_main, config_name="make_tiny_policy")


def make(cfg: DictConfig, run_dir: Path) -> None:
    """Every step in order; ``warmed/`` keeps the policy after the vision warm-up and is not made twice."""
    check_machine(cfg.machine)
    check_config(cfg)
    OmegaConf.resolve(cfg)
    torch.set_num_threads(cfg.threads)
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU; nothing on a CPU
    if cfg.paths.photographs is not None:
        collect(Path(cfg.paths.photographs), [one for one in table() if one.role == "make"])
    warmed = run_dir / "warmed"
    if not warmed.exists():
        policy = untrained(cfg) if cfg.start is None else started(cfg)
        instantiate(cfg.vision)().run(policy, goes_on=cfg.start is not None)
        policy.save(warmed)
    policy = instantiate(cfg.policy, path=str(warmed))
    instantiate(cfg.language)().run(policy)
    save_half(policy, run_dir / "policy")
    print(f"policy written to {run_dir / 'policy'}")


def untrained(cfg: DictConfig) -> Policy:
    """The policy of random weights that the making starts from."""
    texts = project_texts(**instantiate(cfg.texts))
    tokenizer = train_tokenizer(texts, vocab_size=cfg.vocab_size)
    return build_tiny_policy(
        vision=instantiate(cfg.vision_shape),
        text=instantiate(cfg.text_shape),
        tokenizer=tokenizer,
        seed=cfg.seed,
        image_cache=64,
    )


def started(cfg: DictConfig) -> Policy:
    """The policy that the making goes on from; it sees as many pixels as ``vision_shape`` says."""
    pixels = {name: cfg.vision_shape[name] for name in ("min_pixels", "max_pixels")}
    policy: Policy = instantiate(cfg.policy, path=cfg.start, **pixels)
    return policy


def save_half(policy: Policy, folder: Path) -> None:
    """Write the policy in float16, at half the size, in the place of what is there; it is loaded in float32."""
    shutil.rmtree(folder, ignore_errors=True)
    policy.model.half()
    policy.save(folder)

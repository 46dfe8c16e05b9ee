"""The mean of two policies' weights, one of which went on from the other.

python experiments/tiny_policy/mean_weights.py FIRST SECOND OUT --second-share 0.4

Such a mean of a network and its fine-tuned self may keep both levels (Wortsman et al., "Robust fine-tuning of zero-shot
models", 2022); of policies far apart it is noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from hydra.utils import instantiate

from zoom_iqa.config.composition import composed
from zoom_iqa.config.tiny_policy_run import save_half
from zoom_iqa.policy.policy import Policy


def mean_weights(
    first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """``share`` of the second's weights and the rest of the first's.

    Raises:
        ValueError: the two have other names or shapes.
    """
    shapes = [{name: tuple(values.shape) for name, values in weights.items()} for weights in (first, second)]
    if shapes[0] != shapes[1]:
        differ = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))
        raise ValueError(f"the policies have other weights: {differ[:4]}; take two of one architecture")
    return {name: torch.lerp(values.float(), second[name].float(), share) for name, values in first.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--second-share", type=float, default=0.5)
    asked = parser.parse_args()
    first, second = loaded(asked.first), loaded(asked.second)
    weights = mean_weights(first.model.state_dict(), second.model.state_dict(), asked.second_share)
    first.model.load_state_dict(weights)
    save_half(first, asked.out)


def loaded(path: Path) -> Policy:
    policy: Policy = instantiate(composed("evaluate", [f"policy.path={path}"]).policy)
    return policy


if __name__ == "__main__":
    main()

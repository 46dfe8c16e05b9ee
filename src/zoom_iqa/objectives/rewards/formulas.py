"""Reward formulas on tensors of ratings (Zoom-IQA, arXiv 2601.02918; VisualQuality-R1, arXiv 2505.14460).

Shapes: B images of this process, G responses each, N images of all processes.
An invalid rating is NaN. It is left out of means and variances, and its response earns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zoom_iqa.base.equality import EQUAL_MOS
from zoom_iqa.base.errors import ConfigError


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupStatistics:
    """Statistics of each image that a pair is compared by: mean and variance of its valid ratings, MOS, MOS deviation.

    All of shape (N,). ``mean_N`` is NaN for an image without a valid rating, ``mos_std_N`` where it is not known.
    """

    mean_N: torch.Tensor
    var_N: torch.Tensor
    mos_N: torch.Tensor
    mos_std_N: torch.Tensor


def format_reward(well_formed_BG: torch.Tensor) -> torch.Tensor:
    """1 where every turn of the response met every requirement of its format, else 0; shape (B, G)."""
    return well_formed_BG.to(torch.get_default_dtype())


def score_reward(ratings_BG: torch.Tensor, mos_B: torch.Tensor, *, sigma: float = 0.35) -> torch.Tensor:
    """exp(-(rating - MOS)^2 / (2 sigma^2)), on 1-5; 0 for an invalid rating; shape (B, G). Zoom-IQA, R_score."""
    reward_BG = torch.exp(-((ratings_BG - mos_B[:, None]) ** 2) / (2.0 * sigma**2))
    return torch.where(ratings_BG.isnan(), torch.zeros_like(reward_BG), reward_BG)


def raised_cosine_reward(ratings_BG: torch.Tensor, mos_B: torch.Tensor, *, width: float = 0.35) -> torch.Tensor:
    """(1 + cos(pi d / width)) / 2 of the error d below ``width``, 0 from there on and for an invalid rating; (B, G).

    H-IQA (arXiv 2512.16484), accuracy and self-consistency.
    """
    error_BG = (ratings_BG - mos_B[:, None]).abs()
    reward_BG = 0.5 * (1.0 + torch.cos(torch.pi * error_BG / width))
    return torch.where(error_BG < width, reward_BG, torch.zeros_like(reward_BG))  # false for NaN, too


def rank_reward(
    ratings_BG: torch.Tensor, mos_B: torch.Tensor, *, eps: float = 1e-6, mos_std_B: torch.Tensor | None = None
) -> torch.Tensor:
    """Fidelity of each response's comparisons with all other images of the batch; shape (B, G), in [0, 1].

    The response's own rating is compared with the other image's **mean** (VisualQuality-R1, asymmetric Thurstone):
    with means on both sides the term would be the same for the whole group and its advantage zero.
    The human preference is 1, 1/2 or 0 by MOS order, or Thurstone's where the MOS deviations are given.

    Raises:
        ConfigError: fewer than two images, or eps is not positive.
    """
    statistics = group_statistics(ratings_BG, mos_B, mos_std_B)
    return rank_reward_against(ratings_BG, statistics, own_offset=0, eps=eps, thurstone=mos_std_B is not None)


def group_statistics(
    ratings_BG: torch.Tensor, mos_B: torch.Tensor, mos_std_B: torch.Tensor | None = None
) -> GroupStatistics:
    """Mean and unbiased variance (0 for a single rating) of each image's valid ratings."""
    valid_BG = ~ratings_BG.isnan()
    count_B = valid_BG.sum(1)
    mean_B = ratings_BG.nanmean(1)
    deviation_BG = torch.where(valid_BG, ratings_BG - mean_B[:, None], torch.zeros_like(ratings_BG))
    var_B = deviation_BG.square().sum(1) / (count_B - 1).clamp(min=1)
    std_B = torch.full_like(mos_B, torch.nan) if mos_std_B is None else mos_std_B
    return GroupStatistics(mean_N=mean_B, var_N=var_B, mos_N=mos_B, mos_std_N=std_B)


def rank_reward_against(
    ratings_BG: torch.Tensor, statistics: GroupStatistics, *, own_offset: int, eps: float, thurstone: bool
) -> torch.Tensor:
    """``rank_reward`` of this process's B images against the N images of all processes.

    ``own_offset`` is the row of ``statistics`` at which this process's images start. An image whose partners all lack
    a valid rating earns 0.

    Raises:
        ConfigError: N < 2, eps is not positive, or Thurstone preferences are asked for and a MOS deviation is missing.
    """
    n_images = len(statistics.mos_N)
    if n_images < 2:
        raise ConfigError(
            f"the rank reward compares images and the batch holds {n_images}; use at least 2 images per step over all "
            "processes and accumulation steps, or a reward without the rank term"
        )
    if not eps > 0:
        raise ConfigError(f"rank reward: eps={eps} must be positive, it keeps a group of equal ratings comparable")
    own = slice(own_offset, own_offset + len(ratings_BG))
    p_BGN, not_p_BGN = _preference(
        _without_rounding(ratings_BG[:, :, None] - statistics.mean_N),
        statistics.var_N[own][:, None, None] + statistics.var_N + eps,
    )
    q_BN, not_q_BN = _human_preference(statistics, own, eps, thurstone)
    fidelity_BGN = (p_BGN * q_BN[:, None]).sqrt() + (not_p_BGN * not_q_BN[:, None]).sqrt()

    partner_BN = ~statistics.mean_N.isnan() & ~_same_image(own, n_images, ratings_BG.device)
    comparable_BGN = partner_BN[:, None] & ~ratings_BG.isnan()[:, :, None]
    total_BG = torch.where(comparable_BGN, fidelity_BGN, torch.zeros_like(fidelity_BGN)).sum(2)
    return total_BG / partner_BN.sum(1, keepdim=True).clamp(min=1)


def _preference(difference: torch.Tensor, variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Phi(z) and Phi(-z), through erfc: 1 - Phi(z), and torch.special.ndtr itself, lose their digits in the tail."""
    z = difference / (2.0 * variance).sqrt()
    return 0.5 * torch.special.erfc(-z), 0.5 * torch.special.erfc(z)


def _human_preference(
    statistics: GroupStatistics, own: slice, eps: float, thurstone: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    difference_BN = _without_rounding(statistics.mos_N[own][:, None] - statistics.mos_N)
    if not thurstone:
        q_BN = 0.5 * (1.0 + torch.sign(difference_BN))
        return q_BN, 1.0 - q_BN
    missing = int(statistics.mos_std_N.isnan().sum())
    if missing:
        raise ConfigError(
            f"rank reward: preference=thurstone needs the MOS standard deviation of every image and {missing} of "
            f"{len(statistics.mos_N)} lack it; use preference=ordinal or labels with deviations"
        )
    return _preference(difference_BN, statistics.mos_std_N[own][:, None] ** 2 + statistics.mos_std_N**2 + eps)


def _without_rounding(difference: torch.Tensor) -> torch.Tensor:
    """Exactly 0 where scores on 1-5 differ by the rounding of a share or a mean alone: that is a tie."""
    return torch.where(difference.abs() > EQUAL_MOS, difference, torch.zeros_like(difference))


def _same_image(own: slice, n_images: int, device: torch.device) -> torch.Tensor:
    """(B, N): true where the column is the row's own image."""
    return torch.arange(own.start, own.stop, device=device)[:, None] == torch.arange(n_images, device=device)

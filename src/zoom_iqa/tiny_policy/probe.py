"""Heads on the vision tower's tokens, and what they are asked: used to warm the tower up, then thrown away.

Legend: B views, N tokens of a view, D token width, K cell statistics, C kinds of distortion, none included, F features
of a teacher.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoom_iqa.data.distortions import DISTORTIONS
from zoom_iqa.tiny_policy.statistics import CELL, STATISTICS, cell_statistics
from zoom_iqa.tiny_policy.views import NO_KIND, Views

KINDS = len(DISTORTIONS) + 1
SEEN_SHARE = 0.1  # a region that covers less of a view cannot be asked for


class VisionProbe(nn.Module):
    """Asks every token for the statistics of its cell, the distortion there and its severity; asks all tokens
    together (mean and spread over the view) for the score and the distortion of the image.

    ``statistics_mean_K`` and ``statistics_std_K`` put the statistics on one scale. ``teacher_features``: how many
    features of a teacher every token is asked for, 0 for none. Weights multiply the terms' losses.
    """

    statistics_mean_K: Tensor
    statistics_std_K: Tensor

    def __init__(
        self,
        *,
        token_width: int,
        statistics_mean_K: Tensor,
        statistics_std_K: Tensor,
        score_weight: float,
        kind_weight: float,
        severity_weight: float,
        statistics_weight: float,
        teacher_features: int,
        teacher_weight: float,
    ) -> None:
        super().__init__()
        self.register_buffer("statistics_mean_K", statistics_mean_K)
        self.register_buffer("statistics_std_K", statistics_std_K)
        self.score = nn.Linear(2 * token_width, 1)
        self.kind = nn.Linear(2 * token_width, KINDS)
        self.cell = nn.Linear(token_width, STATISTICS)
        self.cell_kind = nn.Linear(token_width, KINDS)
        self.cell_severity = nn.Linear(token_width, 1)
        self.teacher = nn.Linear(token_width, teacher_features) if teacher_features else None
        self._teacher_weight = teacher_weight
        self._score_weight, self._kind_weight = score_weight, kind_weight
        self._severity_weight, self._statistics_weight = severity_weight, statistics_weight

    def predict(self, tokens_BND: Tensor) -> Tensor:
        """Scores (B,) on 1-5 of whole views."""
        return 3 + self.score(_pool(tokens_BND)).squeeze(-1)

    def loss(self, tokens_BND: Tensor, views: Views, teacher_BNF: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of the terms, and each term's value without gradient."""
        inside_BN = cells_inside(views)
        seen_B = ((~views.local_B) | (inside_BN.float().mean(1) > SEEN_SHARE)).float()
        target_BNK = (cell_statistics(views.pixels_BHW3) - self.statistics_mean_K) / self.statistics_std_K
        kind_BN = torch.where(inside_BN, views.kind_B[:, None], NO_KIND)
        severity_BN = torch.where(inside_BN, views.severity_B[:, None], 1.0)
        severity_error = F.smooth_l1_loss(self.cell_severity(tokens_BND).squeeze(-1), (severity_BN - 1) / 2)
        score_error_B = F.smooth_l1_loss(self.predict(tokens_BND), views.mos_B, reduction="none")
        kind_error_B = F.cross_entropy(self.kind(_pool(tokens_BND)), views.kind_B, reduction="none")
        terms = {
            "score": (self._score_weight, (seen_B * score_error_B).mean()),
            "kind": (self._kind_weight, (seen_B * kind_error_B).mean()),
            "cell_kind": (self._kind_weight, F.cross_entropy(self.cell_kind(tokens_BND).mT, kind_BN)),
            "cell_severity": (self._severity_weight, severity_error),
            "statistics": (
                self._statistics_weight,
                F.smooth_l1_loss(self.cell(tokens_BND), target_BNK.clamp(-4, 4)),
            ),
        }
        if self.teacher is not None and teacher_BNF is not None:
            terms["teacher"] = (self._teacher_weight, F.mse_loss(self.teacher(tokens_BND), teacher_BNF))
        total = torch.stack([weight * value for weight, value in terms.values()]).sum()
        return total, {name: value.detach() for name, (_, value) in terms.items()}


def cells_inside(views: Views) -> Tensor:
    """Cells (B, N) that have their centre in the distorted region."""
    height, width = views.pixels_BHW3.shape[1] // CELL, views.pixels_BHW3.shape[2] // CELL
    device = views.region_B4.device
    x = (torch.arange(width, device=device) + 0.5) / width
    y = (torch.arange(height, device=device) + 0.5) / height
    x1, y1, x2, y2 = views.region_B4.T[..., None]
    across, down = (x > x1) & (x < x2), (y > y1) & (y < y2)
    return (down[:, :, None] & across[:, None, :]).flatten(1)


def _pool(tokens_BND: Tensor) -> Tensor:
    return torch.cat([tokens_BND.mean(1), tokens_BND.std(1)], -1)

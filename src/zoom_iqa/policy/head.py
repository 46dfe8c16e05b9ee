"""Token log-probabilities and entropies from hidden states, a chunk of rows at a time, with an exact backward.

Logits of a chunk are made, reduced and dropped; the backward makes them again (as in Cut Cross-Entropy, arXiv
2411.09009, section 4, in plain PyTorch). So the whole (T, V) matrix, 152,000 columns wide for Qwen2.5-VL, never exists.

Legend: T tokens, H hidden width, V vocabulary, S selected tokens, N rows of a chunk.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def banned_bias(banned_ids: tuple[int, ...], weight_VH: Tensor) -> Tensor:
    """A bias (V) that drives banned ids to probability 0; finite, so that p * logit stays 0 rather than NaN."""
    bias_V = weight_VH.new_zeros(weight_VH.shape[0])
    bias_V[list(banned_ids)] = max(-1e30, torch.finfo(weight_VH.dtype).min / 4)
    return bias_V


def token_log_probs(
    hidden_TH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    targets_T: Tensor,
    *,
    temperature: float,
    chunk: int,
    entropy: bool,
) -> tuple[Tensor, Tensor | None]:
    """log p(target) and, if asked, the entropy of each row's distribution, in nats and float32; both differentiable."""
    out: tuple[Tensor, Tensor | None] = _HeadLogProbs.apply(
        hidden_TH, weight_VH, bias_V, targets_T, temperature, chunk, entropy
    )
    return out


def log_distributions(hidden_SH: Tensor, weight_VH: Tensor, bias_V: Tensor, *, temperature: float) -> Tensor:
    """Log-probabilities over the whole vocabulary (S, V), float32, -inf where banned; differentiable."""
    log_p_SV = _logits(hidden_SH, weight_VH, bias_V, temperature).log_softmax(-1)
    return log_p_SV.masked_fill(bias_V < 0, -torch.inf)


class _HeadLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_TH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor,
        targets_T: Tensor,
        temperature: float,
        chunk: int,
        entropy: bool,
    ) -> tuple[Tensor, Tensor | None]:
        logps, entropies = [], []
        for rows, targets_N in zip(hidden_TH.split(chunk), targets_T.split(chunk), strict=True):
            log_p_NV = _logits(rows, weight_VH, bias_V, temperature).log_softmax(-1)
            logps.append(log_p_NV.gather(-1, targets_N[:, None])[:, 0])
            if entropy:
                entropies.append(log_p_NV.exp().mul_(log_p_NV).sum(-1).neg_())
        entropy_T = torch.cat(entropies) if entropy else None
        ctx.save_for_backward(hidden_TH, weight_VH, bias_V, targets_T, entropy_T)
        ctx.temperature, ctx.chunk = temperature, chunk
        return torch.cat(logps), entropy_T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """d log p_y / d z = onehot(y) - p;  d entropy / d z = -p (log p + entropy)."""
        hidden_TH, weight_VH, bias_V, targets_T, entropy_T = ctx.saved_tensors
        # autograd fills an unused output's gradient with zeros, or None where there is no such output
        grad_logp_T, grad_entropy_T = (None if grad is None else grad / ctx.temperature for grad in grads)
        assert grad_logp_T is not None
        grad_hidden_TH = torch.empty_like(hidden_TH)
        grad_weight_VH = torch.zeros_like(weight_VH, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden_TH), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            logits_NV = _logits(hidden_TH[part], weight_VH, bias_V, ctx.temperature)
            if entropy_T is not None and grad_entropy_T is not None:
                log_p_NV = logits_NV.log_softmax(-1)
                p_NV = log_p_NV.exp()
                slope_NV = log_p_NV.add_(entropy_T[part, None]).mul_(grad_entropy_T[part, None])
                grad_NV = slope_NV.add_(grad_logp_T[part, None]).mul_(p_NV).neg_()
            else:
                grad_NV = logits_NV.softmax(-1).mul_(-grad_logp_T[part, None])
            grad_NV.scatter_add_(1, targets_T[part, None], grad_logp_T[part, None])
            grad_NV = grad_NV.to(weight_VH.dtype)
            torch.mm(grad_NV, weight_VH, out=grad_hidden_TH[part])
            if grad_weight_VH is not None:
                grad_weight_VH += grad_NV.T @ hidden_TH[part]
        if grad_weight_VH is not None:
            grad_weight_VH = grad_weight_VH.to(weight_VH.dtype)
        return grad_hidden_TH, grad_weight_VH, None, None, None, None, None


def _logits(rows_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, temperature: float) -> Tensor:
    """Logits (N, V) in float32, divided by the temperature."""
    logits_NV = F.linear(rows_NH, weight_VH, bias_V).float()
    return logits_NV if temperature == 1 else logits_NV.div_(temperature)

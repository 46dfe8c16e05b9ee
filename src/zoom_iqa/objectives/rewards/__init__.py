"""Rewards: the formulas, the terms that a config names, and the rubric that adds them up."""

from zoom_iqa.objectives.rewards.formulas import rank_reward, score_reward

__all__ = ["rank_reward", "score_reward"]

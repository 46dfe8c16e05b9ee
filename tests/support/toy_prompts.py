"""Small prompt sets, for tests of sessions, of trajectories and of rollouts."""

from __future__ import annotations

from dataclasses import replace

from zoom_iqa.tasks.prompts import PromptSet

PROMPTS = PromptSet(
    questions=["How good?"],
    turn1="{question} First look.",
    turn2="Second look.",
    sections_turn1=["Quality", "Improve", "Avoid", "Decision"],
    sections_turn2=["Crop", "Improve", "Avoid", "Final"],
    original_label="Original image: ",
    crop_label="Cropped Image: ",
    terse=True,
)
THREE_WORDINGS = replace(PROMPTS, questions=["How good?", "Rate it.", "Quality?"])

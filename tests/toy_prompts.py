"""A small terse prompt set, for tests of sessions and of trajectories."""

from __future__ import annotations

from zoom_iqa.protocol.prompts import PromptSet

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

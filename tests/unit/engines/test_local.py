"""A policy in this process is known by all that decides its answers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from support.random_policy import build_random_policy
from zoom_iqa.engines.local import LocalPolicy


def test_other_weights_or_another_way_to_load_them_are_another_speaker(tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    policy = build_random_policy()
    policy.save(folder)
    speaker = LocalPolicy(
        path=str(folder),
        dtype="float32",
        min_pixels=None,
        max_pixels=None,
        policy=build_random_policy,
        engine=lambda **_: None,  # type: ignore[arg-type,return-value]
        features_capacity=0,
    )
    known = speaker.identity
    assert replace(speaker, features_capacity=1).identity == known
    others = {replace(speaker, dtype="bfloat16").identity, replace(speaker, max_pixels=4096).identity}
    shutil.rmtree(folder)
    build_random_policy(seed=1).save(folder)
    others.add(speaker.identity)
    assert len(others - {known}) == 3

"""Features of a policy's tower are those of its image, of one length whatever the size, and of each image anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support.random_policy import noise_image
from zoom_iqa.base.types import ImagePart
from zoom_iqa.peers.policy_tower import PolicyTower
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import encode_images


def test_features_are_mean_and_spread_of_what_the_language_model_is_given(random_policy: Policy) -> None:
    tower = PolicyTower(policy=random_policy)
    small, large = noise_image(1, 40, 32), noise_image(2, 96, 64)
    features = [tower.features(image) for image in (small, large, small)]
    assert features[0].shape == features[1].shape
    assert np.array_equal(features[0], features[2])
    assert not np.allclose(features[0], features[1])
    with torch.no_grad():
        tokens = encode_images(random_policy.model, [random_policy.images(ImagePart(large, "another key"))])[0].numpy()
    assert features[1] == pytest.approx(np.concatenate([tokens.mean(axis=0), tokens.std(axis=0)]), abs=1e-6)

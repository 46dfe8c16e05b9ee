"""Words for distortions, and words that name them."""

from __future__ import annotations

import pytest

from zoom_iqa.base.defects import ALSO_CALLED, DEFECTS, PRISTINE, distortion_named, likeness


def test_nouns_tell_distortions_apart() -> None:
    assert len({defect.noun for defect in DEFECTS.values()}) == len(DEFECTS) == 25
    for name, defect in DEFECTS.items():
        assert distortion_named(defect.noun) == distortion_named(defect.phrase) == name
        assert likeness(f"Some {defect.noun.upper()} there", name) == 1.0


def test_other_words_are_of_one_distortion_each() -> None:
    words = [word for several in ALSO_CALLED.values() for word in several]
    assert len(set(words)) == len(words)
    assert not {defect.noun for defect in DEFECTS.values()} & set(words)
    for name, several in ALSO_CALLED.items():
        assert {distortion_named(word) for word in several} == {name}


@pytest.mark.parametrize(
    ("words", "distortion", "expected"),
    [
        ("visible JPEG artifacts", "jpeg", 1.0),
        ("an overexposed sky", "brighten", 1.0),
        ("bright grain", "multiplicative_noise", 1.0),
        ("not noisy, but banding", "quantization", 1.0),
        ("isn't grainy", "white_noise", 0.0),
        ("never out of focus", "lens_blur", 0.0),
        ("wood grain with halos", "high_sharpen", 1.0),
        ("posterized color", "color_quantization", 1.0),
        ("no compression artefacts", "jpeg", 0.0),
        ("motion blur", "motion_blur", 1.0),
        ("blur", "motion_blur", 0.5),
        ("color noise", "white_noise_color_component", 1.0),
        ("noise", "jpeg", 0.0),
        ("unblurred", "gaussian_blur", 0.0),
        ("No motion blur", "motion_blur", 0.0),
        ("without any noise", "white_noise", 0.0),
        ("no blur, but noise", "white_noise", 1.0),
        ("no noise and motion blur", "motion_blur", 0.0),
        ("no noise, motion blur", "motion_blur", 1.0),
        ("without blur and noise", "white_noise", 0.0),
        ("free of noise and blur", "gaussian_blur", 0.0),
        ("noise-free", "white_noise", 0.0),
        ("no sign of noise", "white_noise", 0.0),
        ("blur free of halos", "gaussian_blur", 1.0),
        ("no doubt: noise", "white_noise", 1.0),
        ("not only blurry but noisy", "gaussian_blur", 1.0),
        ("JPEG compression", "jpeg", 1.0),
        ("JPEG 2000 compression", "jpeg2000", 1.0),
        ("lens blur", "lens_blur", 1.0),
        ("color shift", "color_shift", 1.0),
        ("", "jpeg", 0.0),
        ("blocking", "moire", 0.0),
    ],
)
def test_likeness(words: str, distortion: str, expected: float) -> None:
    assert likeness(words, distortion) == expected


def test_no_defect_is_no_distortion() -> None:
    assert distortion_named(PRISTINE.noun) is None

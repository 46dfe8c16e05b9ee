"""Figures say of themselves what they are of."""

import pytest

from zoom_iqa.evaluation.figure_kinds import OWN_SCALE, on_mos_scale


@pytest.mark.parametrize(
    ("rmse", "there"),
    [
        (0.4, True),
        ("undefined (0 images, at least 1 are needed)", True),
        ("undefined (images of its own scale)", True),
        (OWN_SCALE, False),
        ("undefined (scores are on the method's own scale)", False),  # as files of every version have it
    ],
)
def test_only_the_words_for_a_scale_of_its_own_say_so(rmse, there):
    assert on_mos_scale({"rmse": rmse}) is there

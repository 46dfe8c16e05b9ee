"""Figures say of themselves what they are of."""

import pytest

from zoom_iqa.evaluation.figure_kinds import OWN_SCALE, of_comparisons, on_mos_scale


def test_figures_of_choices_have_an_accuracy():
    assert of_comparisons({"n": 4, "accuracy": 0.5})
    assert not of_comparisons({"n": 4, "srcc": 0.5, "pair_accuracy": 0.5})


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

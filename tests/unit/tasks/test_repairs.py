"""Defects that are named get the edits that repair them, at the places that are named."""

from __future__ import annotations

import pytest

from zoom_iqa.base.defects import DEFECTS
from zoom_iqa.base.types import Region
from zoom_iqa.tasks.tools.repairs import Repair, regions_named, repairs_for
from zoom_iqa.tasks.tools.restore import EDITS

NO_EDIT = {"non_eccentricity_patch"}  # pixels that are elsewhere cannot be brought back


@pytest.mark.parametrize("kind", DEFECTS)
def test_defects_of_the_embedded_set_have_an_edit_by_their_name(kind: str) -> None:
    found = repairs_for([DEFECTS[kind].noun])
    assert bool(found.repairs) is (kind not in NO_EDIT)
    assert bool(found.without) is (kind in NO_EDIT)


@pytest.mark.parametrize(
    ("issue", "edits"),
    [
        ("Noise in the shadows.", ["denoise"]),
        ("The frame is too dark and its colours are faded", ["brighten", "saturate"]),
        ("JPEG artifacts around the lettering", ["deblock"]),
        ("The subject is out of focus", ["deblur", "sharpen"]),
        ("a colour cast", ["balance"]),
        ("Blown highlights", ["darken"]),
        ("No noise is visible, but blur", ["deblur", "sharpen"]),
        ("A noise-free sky without blocking or halos", []),
        ("There is no contrast", ["contrast"]),
        ("The horizon is crooked", []),
    ],
)
def test_words_and_their_edits(issue: str, edits: list[str]) -> None:
    found = repairs_for([issue])
    assert [repair.edit for repair in found.repairs] == edits
    assert found.without == (() if edits else (issue,))


def test_they_are_applied_in_the_restorer_s_order_each_once() -> None:
    found = repairs_for(["too dark", "blur", "noise", "grain", "blur on the whole"])
    assert [repair.edit for repair in found.repairs] == ["denoise", "deblur", "sharpen", "brighten"]
    assert all(repair.edit in EDITS for repair in found.repairs)


UPPER_LEFT: Region = (0.0, 0.0, 0.4, 0.4)
CENTRE: Region = (0.3, 0.3, 0.7, 0.7)


def test_a_defect_is_repaired_at_its_place_unless_it_is_everywhere() -> None:
    assert repairs_for(["noise in the upper left corner"]).repairs == (Repair("denoise", UPPER_LEFT),)
    assert repairs_for(["noise"], placing=["maybe noise centre", "blur lower right"]).repairs == (
        Repair("denoise", CENTRE),
    )
    assert repairs_for(["noise upper left", "noise all over"]).repairs == (Repair("denoise", None),)
    both = repairs_for(["noise upper left", "noise in the centre"]).repairs
    assert [repair.region for repair in both] == [UPPER_LEFT, CENTRE]


@pytest.mark.parametrize(
    ("sentence", "region"),
    [
        ("the upper left corner", UPPER_LEFT),
        ("top edge", (0.0, 0.0, 1.0, 0.4)),
        ("lower centre", (0.3, 0.6, 0.7, 1.0)),
        ("middle right", (0.6, 0.3, 1.0, 0.7)),
        ("at the center", CENTRE),
        ("middle centre", CENTRE),
        ("the left side", (0.0, 0.0, 0.4, 1.0)),
        ("Bottom", (0.0, 0.6, 1.0, 1.0)),
        ("towards the right", (0.6, 0.0, 1.0, 1.0)),
        ("in the lower half", (0.0, 0.6, 1.0, 1.0)),
        ("everywhere", None),
        ("leftover stopgap", None),
        ("The white balance is not right.", None),
        ("Some noise is left in the shadows.", None),
        ("On top of that, the picture is noisy.", None),
        ("Flat middle tones lack contrast.", None),
        ("It has a lower contrast than it should.", None),
    ],
)
def test_places_in_the_frame(sentence: str, region: Region | None) -> None:
    assert regions_named(sentence) == (() if region is None else (region,))


def test_a_sentence_may_name_several_places() -> None:
    corners = [UPPER_LEFT, (0.6, 0.6, 1.0, 1.0)]
    found = repairs_for(["Noise in the top-left and the bottom-right corner."])
    assert [(repair.edit, repair.region) for repair in found.repairs] == [("denoise", corner) for corner in corners]
    assert regions_named("blur at the left and right edges") == ((0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0))
    assert regions_named("the left and the right side") == ((0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0))


def test_an_overcast_sky_is_no_colour_cast() -> None:
    assert repairs_for(["The overcast sky is featureless."]).without == ("The overcast sky is featureless.",)


def test_names_say_where() -> None:
    assert Repair("denoise", None).name == "denoise"
    assert Repair("denoise", UPPER_LEFT).name == "denoise at x 0-40 %, y 0-40 %"

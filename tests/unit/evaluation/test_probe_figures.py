"""The rating from words beside that from the image, by hand: agreement, gap, and all that was not asked or not read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.made_rollouts import record
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Reading
from zoom_iqa.evaluation.figures import figures_of
from zoom_iqa.evaluation.probe_figures import caption_figures, check_names, probe_figures

MOS = (1.0, 2.0, 3.0, 4.0, 5.0)
SHOWN = (1.0, 2.0, 3.0, 4.0, 5.0)
SAID = (1.0, 2.0, 4.0, 3.0, 5.0)  # one pair exchanged: Spearman's 1 - 6 * 2 / (5 * 24) = 0.9


def image(number: int, shown: float | None, said: float | None, *, asked: bool = True) -> list[Record]:
    answer = (record(f"image{number}", rating=said, mos=MOS[number]),) if asked else ()
    return [replace(record(f"image{number}", rating=shown, mos=MOS[number]), probes={"caption": answer})]


def figures(images: list[list[Record]]) -> dict[str, object]:
    return probe_figures(images, n_resamples=200, seed=0)


def test_agreement_from_words_and_the_gap_to_that_from_the_image() -> None:
    found = figures([image(n, SHOWN[n], SAID[n]) for n in range(5)])
    assert found["srcc_caption"] == pytest.approx(0.9)
    assert found["srcc_gap_caption"] == pytest.approx(0.1)
    assert (found["asked_caption"], found["valid_rate_caption"], found["n_caption"]) == (1.0, 1.0, 5)
    interval = found["srcc_gap_interval_caption"]
    assert isinstance(interval, dict)
    assert interval["low"] <= 0.1 <= interval["high"]


def test_a_probe_cannot_be_named_as_a_figure_is() -> None:
    several = [replace(record(f"image{n}", rating=SHOWN[n], mos=MOS[n]), sample=s) for n in range(5) for s in (0, 1)]
    for name in figures_of(several, rubric=None):
        kind, _, rest = name.partition("_")
        if kind in ("srcc", "plcc", "n") and rest:
            with pytest.raises(ConfigError, match=rf"probes\.{rest}: there is a figure"):
                check_names([rest])
    for name in ("human_text", "human_texts"):
        with pytest.raises(ConfigError, match=rf"probes\.{name}: there is a figure srcc_{name} or n_{name} already"):
            check_names([name])
    check_names(["caption", "description", "judge"])


def test_the_gap_s_interval_draws_photographs() -> None:
    """Five images of three photographs."""
    alone = [image(n, SHOWN[n], SAID[n]) for n in range(5)]
    together = [
        [replace(one, example=replace(one.example, reference_id=f"photograph{n // 2}")) for one in records]
        for n, records in enumerate(alone)
    ]
    for metric in ("srcc", "plcc"):
        units = [figures(images)[f"{metric}_gap_interval_caption"]["units"] for images in (alone, together)]  # type: ignore[index]
        assert units == [5, 3]


def test_equal_ratings_have_no_gap() -> None:
    found = figures([image(n, SAID[n], SAID[n]) for n in range(5)])
    for metric in ("srcc", "plcc"):
        assert found[f"{metric}_gap_caption"] == 0.0
        assert found[f"{metric}_gap_interval_caption"]["low"] == found[f"{metric}_gap_interval_caption"]["high"] == 0.0  # type: ignore[index]


def test_an_image_without_a_caption_or_with_an_unread_answer_is_counted_and_left_out() -> None:
    images = [image(n, SHOWN[n], SAID[n]) for n in range(3)]
    images += [image(3, 4.0, None, asked=False), image(4, 5.0, None)]
    found = figures(images)
    assert (found["asked_caption"], found["valid_rate_caption"], found["n_caption"]) == (4 / 5, 3 / 4, 3)
    assert found["srcc_caption"] == pytest.approx(1.0)
    assert found["srcc_gap_caption"] == pytest.approx(0.0)


def test_the_gap_is_over_images_that_have_both_ratings() -> None:
    images = [image(n, SHOWN[n], SAID[n]) for n in range(4)] + [image(4, None, 1.0)]
    found = figures(images)
    assert found["n_caption"] == 5
    assert found["srcc_gap_caption"] == pytest.approx(1.0 - 0.8)  # 1 - 6 * 2 / (4 * 15)


def test_too_few_ratings_are_undefined_with_a_reason() -> None:
    found = figures([image(n, SHOWN[n], None) for n in range(5)])
    for name in ("srcc_caption", "srcc_gap_caption", "plcc_gap_interval_caption"):
        assert str(found[name]).startswith("undefined (")


def test_ratings_from_words_are_means_over_trajectories() -> None:
    images = []
    for n in range(5):
        first, second = image(n, SHOWN[n], SAID[n] - 0.5)[0], image(n, SHOWN[n], SAID[n] + 0.5)[0]
        images.append([first, replace(second, sample=1)])
    assert figures(images)["srcc_caption"] == pytest.approx(0.9)


def test_views_of_the_same_words_are_told_from_views_of_others() -> None:
    """Of four answers three are asked about in both views, and one of these in other words."""

    def asked(words: str | None) -> tuple[Record, ...]:
        one = record("a", rating=3.0, mos=3.0)
        return () if words is None else (replace(one, example=replace(one.example, references=(words,))),)

    pairs = [("a", "a"), ("clear 2.8", "clear"), ("b", "b"), ("c", None)]
    images = [
        [replace(record(f"image{n}", mos=MOS[n]), probes={"caption": asked(plain), "caption_struck": asked(struck)})]
        for n, (plain, struck) in enumerate(pairs)
    ]
    found = figures(images)
    assert found["other_words_caption_struck"] == pytest.approx(1 / 3)
    assert "other_words_caption" not in found
    assert str(figures(images[3:])["other_words_caption_struck"]).startswith("undefined (")


def test_without_probes_and_without_captions_there_are_no_such_figures() -> None:
    plain = [[record(f"image{n}", mos=MOS[n])] for n in range(5)]
    assert figures(plain) == {}
    assert caption_figures([one for (one,) in plain]) == {}
    assert not any("caption" in name or "rouge" in name for name in figures_of([one for (one,) in plain], None))


def test_captions_are_counted_by_kind() -> None:
    def captioned(kind: str) -> Record:
        one = record("a")
        return replace(one, steps=(replace(one.steps[0], reading=Reading(values={"caption": kind}, well_formed=True)),))

    found = caption_figures([captioned(kind) for kind in ("plain", "plain", "absent", "rated", "empty")])
    assert found == {"captions": {"plain": 2, "absent": 1, "empty": 1, "rated": 1}}

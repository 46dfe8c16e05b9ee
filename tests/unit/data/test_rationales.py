"""Written trajectories follow the protocol for any truth, say what is known, and zoom when they should."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate
from PIL import Image

from support.checked_format import check_format, violations_of
from zoom_iqa.base.defects import DEFECTS, PRISTINE
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.types import Sample, Truth, rated_example
from zoom_iqa.data.distortions import DISTORTIONS
from zoom_iqa.data.supervised.rationales import RationaleWriter, severity_of
from zoom_iqa.data.supervised.records import supervised_turns
from zoom_iqa.data.supervised.two_turns import Rationale
from zoom_iqa.tasks.answer import parse_answer, read_rating
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.zoom import ZoomTask

CONF = Path(__file__).parents[3] / "conf" / "prompts"
NAMES = ("full", "compact")


def load_prompts(name: str) -> PromptSet:
    return instantiate(yaml.safe_load((CONF / f"{name}.yaml").read_text()))


def make_writer(
    prompts: PromptSet, doubt_crop_rate: float = 0.3, clear_crop_rate: float = 0.0, guess_spread: float = 0.3
) -> RationaleWriter:
    return RationaleWriter(
        prompts=prompts,
        doubt_level=2,
        doubt_crop_rate=doubt_crop_rate,
        clear_crop_rate=clear_crop_rate,
        guess_pull=0.5,
        guess_spread=guess_spread,
        box_jitter=0.1,
    )


def draw_truth(rng: np.random.Generator) -> tuple[Truth, float]:
    name = rng.choice([*DEFECTS, ""])
    if not name:
        return Truth(distortion=None, level=1.0, region=None), float(rng.uniform(4, 5.2))
    region = None
    if rng.random() < 0.5:
        x1, y1 = rng.uniform(0, 0.95, size=2)
        x2, y2 = rng.uniform((x1 + 0.01, y1 + 0.01), 1.0)
        region = (float(x1), float(y1), float(x2), float(y2))
    truth = Truth(distortion=str(name), level=float(rng.uniform(1, 5)), region=region)
    return truth, float(rng.uniform(0.8, 5.2))


def think_of(text: str) -> str:
    return text[: text.index("<answer>")].removeprefix("<think>").removesuffix("</think>")


@pytest.mark.parametrize("name", NAMES)
def test_every_trajectory_meets_the_format_and_plays_through_the_session(name: str) -> None:
    prompts, rng = load_prompts(name), np.random.default_rng(0)
    writer = make_writer(prompts)
    image = Image.new("RGB", (64, 48))
    turns_seen = set()
    for _ in range(400):
        truth, mos = draw_truth(rng)
        rationale = writer.write(truth, mos, rng)
        for number, text in enumerate(rationale.texts, start=1):
            report = check_format(text, sections=prompts.sections(number), final_only=number == 2)
            assert report.ok, (violations_of(report), text)
        assert read_rating(rationale.texts[-1]) == pytest.approx(min(5, max(1, mos)), abs=0.0051)
        sample = Sample.of(rated_example(id="x", dataset="d", mos=3.0), image)
        turns = supervised_turns(ZoomTask(prompts=prompts).rehearse(sample, rng), rationale.texts)
        assert [turn.response for turn in turns] == list(rationale.texts)
        turns_seen.add(len(turns))
    assert turns_seen == {1, 2}


@pytest.mark.parametrize("name", NAMES)
def test_the_box_holds_the_region_to_the_last_decimal(name: str) -> None:
    prompts, rng = load_prompts(name), np.random.default_rng(1)
    writer = make_writer(prompts)
    step = 0.1 if prompts.terse else 0.01
    for _ in range(200):
        truth, mos = draw_truth(rng)
        if truth.region is None:
            continue
        x1, y1, x2, y2 = parse_answer(writer.write(truth, mos, rng).turn1).bbox
        left, top, right, bottom = truth.region
        slack = step / 2 + 1e-9
        assert left - 0.1 - slack <= x1 <= min(left + slack, 1 - step + 1e-9)
        assert top - 0.1 - slack <= y1 <= min(top + slack, 1 - step + 1e-9)
        assert right - slack <= x2 <= right + 0.1 + step
        assert bottom - slack <= y2 <= bottom + 0.1 + step


def test_boxes_are_as_fine_as_was_asked_for() -> None:
    """No jitter: the edges are the region's, rounded to two decimals where one is the prompts' own."""
    truth = Truth(distortion="jpeg", level=5.0, region=(0.123, 0.25, 0.377, 0.501))
    boxes = {}
    for decimals in (None, 2):
        writer = RationaleWriter(
            prompts=load_prompts("compact"), doubt_level=2, doubt_crop_rate=0.3, clear_crop_rate=0.0, guess_pull=0.5,
            guess_spread=0.3, box_jitter=0.0, box_decimals=decimals,
        )  # fmt: skip
        boxes[decimals] = tuple(parse_answer(writer.write(truth, 2.0, np.random.default_rng(0)).turn1).bbox)
    assert boxes == {None: (0.1, 0.2, 0.4, 0.5), 2: (0.12, 0.25, 0.38, 0.5)}


def test_a_look_at_an_image_without_a_region_has_half_of_its_sides() -> None:
    writer = RationaleWriter(
        prompts=load_prompts("compact"), doubt_level=2, doubt_crop_rate=1.0, clear_crop_rate=0.0, guess_pull=0.5,
        guess_spread=0.3, box_jitter=0.0, box_decimals=2,
    )  # fmt: skip
    pristine, rng = Truth(distortion=None, level=1.0, region=None), np.random.default_rng(0)
    for _ in range(9):
        x1, y1, x2, y2 = parse_answer(writer.write(pristine, 4.6, rng).turn1).bbox
        assert (x2 - x1, y2 - y1) == pytest.approx((0.5, 0.5), abs=0.011)


def test_decimals_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"box_decimals=0 must be a whole number of at least 1; null takes those"):
        RationaleWriter(
            prompts=load_prompts("compact"), doubt_level=2, doubt_crop_rate=0.3, clear_crop_rate=0.0, guess_pull=0.5,
            guess_spread=0.3, box_jitter=0.0, box_decimals=0,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("distortion", "level", "region", "rate", "crops"),
    [
        ("jpeg", 5.0, None, 1.0, False),
        ("jpeg", 5.0, (0.1, 0.1, 0.4, 0.4), 0.0, True),
        ("jpeg", 2.0, None, 1.0, True),
        ("jpeg", 2.1, None, 1.0, False),
        ("jpeg", 1.0, None, 0.0, False),
        (None, 1.0, None, 1.0, True),
        (None, 1.0, None, 0.0, False),
    ],
)
def test_when_to_zoom(
    distortion: str | None, level: float, region: tuple[float, float, float, float] | None, rate: float, crops: bool
) -> None:
    writer = make_writer(load_prompts("compact"), doubt_crop_rate=rate)
    truth = Truth(distortion=distortion, level=level, region=region)
    rationale = writer.write(truth, 2.0, np.random.default_rng(0))
    assert parse_answer(rationale.turn1).wants_crop is crops
    assert (rationale.turn2 is not None) is crops


def test_clear_defects_get_a_closer_look_at_their_own_rate() -> None:
    writer, rng = (
        make_writer(load_prompts("compact"), doubt_crop_rate=0.0, clear_crop_rate=0.25),
        np.random.default_rng(0),
    )
    clear = Truth(distortion="jpeg", level=4.0, region=None)
    faint = Truth(distortion="jpeg", level=1.5, region=None)
    crops = [writer.write(clear, 2.0, rng).turn2 is not None for _ in range(800)]
    assert np.mean(crops) == pytest.approx(0.25, abs=0.05)
    assert all(writer.write(faint, 4.0, rng).turn2 is None for _ in range(50))


def test_the_first_score_is_a_guess_pulled_to_the_middle() -> None:
    truth = Truth(distortion="jpeg", level=5.0, region=(0.1, 0.1, 0.4, 0.4))
    exact = make_writer(load_prompts("compact"), guess_spread=0.0).write(truth, 1.6, np.random.default_rng(0))
    assert read_rating(exact.turn1) == 2.3  # half-way between 1.60 and 3.00
    rng = np.random.default_rng(0)
    writer = make_writer(load_prompts("compact"))
    guesses = [read_rating(writer.write(truth, 1.6, rng).turn1) for _ in range(400)]
    assert np.mean(guesses) == pytest.approx(2.3, abs=0.05)
    assert np.std(guesses) == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_texts_and_wordings_differ(name: str) -> None:
    writer = make_writer(load_prompts(name))
    truth = Truth(distortion="lens_blur", level=4.0, region=None)

    def write(seed: int) -> Rationale:
        return writer.write(truth, 2.0, np.random.default_rng(seed))

    assert write(3) == write(3)
    assert len({write(seed).turn1 for seed in range(30)}) > 1


def test_terse_texts_are_short() -> None:
    writer, rng = make_writer(load_prompts("compact"), doubt_crop_rate=1.0), np.random.default_rng(2)
    for _ in range(300):
        for text in writer.write(*draw_truth(rng), rng).texts:
            assert len(re.findall(r"\w+", think_of(text))) <= 24


@pytest.mark.parametrize("name", NAMES)
def test_directions_are_positive_and_issues_name_the_defect(name: str) -> None:
    prompts = load_prompts(name)
    negatives = re.compile(
        "|".join(re.escape(d.noun) for d in DEFECTS.values())
        + r"|\bno\b|\bnot\b|defect|lack|free of|without|avoid|less"
    )
    writer, rng = make_writer(prompts), np.random.default_rng(4)
    for _ in range(300):
        truth, mos = draw_truth(rng)
        rationale = writer.write(truth, mos, rng)
        for text in rationale.texts:
            _, directions, issues, _ = (line.split(": ", 1)[1] for line in think_of(text).split("\n"))
            assert not negatives.search(directions.lower()), directions
            if truth.distortion:
                defect = DEFECTS[truth.distortion]
                assert defect.noun in issues.lower() or defect.phrase.lower() in issues.lower(), issues


@pytest.mark.parametrize("name", NAMES)
def test_directions_and_issues_are_about_a_region_and_the_decision_gives_the_rating(name: str) -> None:
    region = re.compile(r"(upper|middle|lower) (left|centre|right)|centre|frame|subject and the background")
    writer, rng = make_writer(load_prompts(name)), np.random.default_rng(6)
    for _ in range(300):
        for text in writer.write(*draw_truth(rng), rng).texts:
            _, directions, issues, decision = think_of(text).split("\n")
            assert region.search(directions), directions
            assert region.search(issues), issues
            assert f"{read_rating(text):.2f}" in decision, decision


def test_every_distortion_has_words_of_its_own() -> None:
    assert {kind.name for kind in DISTORTIONS} == set(DEFECTS)
    everything = [*DEFECTS.values(), PRISTINE]
    for field in ("noun", "phrase", "ideal"):
        assert len({getattr(defect, field) for defect in everything}) == len(everything)


def test_an_unknown_distortion_is_refused() -> None:
    writer = make_writer(load_prompts("full"))
    with pytest.raises(DataError, match="'fog' has no words"):
        writer.write(Truth(distortion="fog", level=3.0, region=None), 3.0, np.random.default_rng(0))


@pytest.mark.parametrize(("level", "word"), [(0.2, "faint"), (2.4, "mild"), (2.6, "clear"), (5.7, "severe")])
def test_a_severity_has_the_word_of_the_nearest_level(level: float, word: str) -> None:
    assert severity_of(Truth(distortion="jpeg", level=level, region=None)) == word


@pytest.mark.parametrize(
    ("region", "place"),
    [
        ((0.0, 0.0, 0.3, 0.3), "upper left"),
        ((0.4, 0.4, 0.6, 0.6), "centre"),
        ((0.7, 0.4, 1.0, 0.6), "middle right"),
        ((0.35, 0.8, 0.6, 1.0), "lower centre"),
    ],
)
def test_places_are_named(region: tuple[float, float, float, float], place: str) -> None:
    writer = make_writer(load_prompts("compact"))
    truth = Truth(distortion="jpeg", level=5.0, region=region)
    text = writer.write(truth, 2.0, np.random.default_rng(0)).turn1
    assert f"Improve: smooth surfaces, {place}\nAvoid: blocking, {place}\nDecision: score 2." in text
    assert f", crop {place}</think>" in text


@pytest.mark.parametrize(("mos", "pull", "word"), [(4.0, 1.0, "raised"), (4.0, 0.0, "kept"), (2.0, 1.0, "lowered")])
def test_the_second_turn_says_where_the_score_went(mos: float, pull: float, word: str) -> None:
    writer = RationaleWriter(
        prompts=load_prompts("compact"),
        doubt_level=2,
        doubt_crop_rate=0,
        clear_crop_rate=0,
        guess_pull=pull,
        guess_spread=0,
        box_jitter=0,
    )
    truth = Truth(distortion="jpeg", level=5.0, region=(0, 0, 0.5, 0.5))
    turn2 = writer.write(truth, mos, np.random.default_rng(0)).turn2
    assert turn2 is not None
    assert f"Final: {word}, score {mos:.2f}</think>" in turn2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("doubt_crop_rate", "clear_crop_rate", "guess_pull") for value in (-0.1, 1.1)),
        *((name, -1) for name in ("doubt_level", "guess_spread", "box_jitter")),
        *((name, float("nan")) for name in ("doubt_level", "guess_pull", "guess_spread")),
    ],
)
def test_numbers_that_cannot_be_are_named(name: str, value: float) -> None:
    numbers = yaml.safe_load((CONF.parent / "data" / "parts" / "rationales.yaml").read_text())
    given = {key: number for key, number in numbers.items() if key not in ("_target_", "prompts")}
    with pytest.raises(ConfigError, match=f"^data.trajectories.writer.{name}={value} must be"):
        RationaleWriter(prompts=load_prompts("compact"), **{**given, name: value})

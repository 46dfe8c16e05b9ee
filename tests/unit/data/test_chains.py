"""Written chains follow the format for any truth, look where they say, and say what is known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate
from PIL import Image

from zoom_iqa.base.defects import DEFECTS
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.regions import coverage
from zoom_iqa.base.types import Ending, Sample, Truth, rated_example
from zoom_iqa.data.supervised.chains import ELSEWHERE, MOST_LOOKS, ChainWriter
from zoom_iqa.data.supervised.records import supervised_turns
from zoom_iqa.tasks.chain import ChainPrompts, ChainTask
from zoom_iqa.tasks.chain_reading import read_chain_turn

CONF = Path(__file__).parents[3] / "conf" / "prompts" / "chain"
NAMES = ("full", "compact")
REGION = (0.25, 0.3, 0.55, 0.7)
LOCAL = Truth(distortion="jpeg", level=4.0, region=REGION)
CORNER = Truth(distortion="jpeg", level=4.0, region=(0.05, 0.05, 0.35, 0.3))
PRISTINE = Truth(distortion=None, level=1.0, region=None)


def load_prompts(name: str) -> ChainPrompts:
    return instantiate(yaml.safe_load((CONF / f"{name}.yaml").read_text()))


def make_writer(name: str = "compact", **given: float) -> ChainWriter:
    numbers = {
        "hit_rate": 0.6,
        "doubt_level": 2,
        "doubt_look_rate": 0.5,
        "clear_look_rate": 0.25,
        "pair_rate": 0.2,
        "box_jitter": 0.1,
        "max_turns": 4,
        "max_crops": 3,
    }
    return ChainWriter(prompts=load_prompts(name), **{**numbers, **given})


def random_truth(rng: np.random.Generator) -> Truth:
    name = str(rng.choice([*DEFECTS, ""]))
    if not name:
        return PRISTINE
    region = None
    if rng.random() < 0.5:
        x1, y1 = rng.uniform(0, 0.6, size=2)
        width, height = rng.uniform(0.1, 0.4, size=2)
        region = (float(x1), float(y1), float(x1 + width), float(y1 + height))
    return Truth(distortion=name, level=float(rng.uniform(1, 5)), region=region)


@pytest.mark.parametrize(("limit", "value"), [("max_turns", 3), ("max_crops", 2)])
def test_a_limit_of_the_task_below_the_longest_chain_is_refused(limit: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"task\.{limit}={value} is below {value + 1}, which the chains that SFT"):
        make_writer(**{limit: value})


@pytest.mark.parametrize("name", NAMES)
def test_chains_are_well_formed_and_end_with_the_score(name: str) -> None:
    task = ChainTask(prompts=load_prompts(name), max_turns=6, max_crops=8, enlarge=1.0)
    writer, image = make_writer(name), Image.new("RGB", (512, 384))
    turns: Counter[int] = Counter()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        truth, mos = random_truth(rng), float(rng.uniform(0.8, 5.2))
        chain = writer.write(truth, mos, rng)
        session = task.rehearse(Sample.of(rated_example(id="a", dataset="d", mos=3.0), image), rng)
        written = supervised_turns(session, chain.texts)
        rollout = session.rollout()
        assert tuple(turn.response for turn in written) == chain.texts
        assert rollout.well_formed
        assert rollout.ending is Ending.FINAL
        assert rollout.rating == pytest.approx(min(5, max(1, mos)), abs=0.00501)
        assert all(look.refusal is None for step in rollout.steps for look in step.looks)
        assert sum(len(step.looks) for step in rollout.steps) <= MOST_LOOKS
        turns[len(chain.texts)] += 1
    assert set(turns) == {1, 2, 3, 4}


def test_looks_miss_until_one_shows_the_region() -> None:
    writer, hits = make_writer(), Counter[int]()
    for seed in range(600):
        texts = writer.write(LOCAL, 3.0, np.random.default_rng(seed)).texts
        boxes = [call.bbox for text in texts for call in read_chain_turn(text).calls]
        shares = [coverage(REGION, [box]) for box in boxes if box is not None]
        assert shares[-1] > 0.75  # edges of one decimal may cut a twentieth from each side
        assert all(share <= ELSEWHERE for share in shares[:-1])
        hits[len(boxes)] += 1
    # 0.6, 0.4 x 0.6 and the rest: 360, 144 and 96 of 600, standard deviations 12, 10 and 9
    assert hits[1] == pytest.approx(360, abs=48)
    assert hits[2] == pytest.approx(144, abs=40)
    assert hits[3] == pytest.approx(96, abs=36)


def test_what_a_look_shows_is_said_in_the_next_turn() -> None:
    writer = make_writer(hit_rate=0.0, pair_rate=0.0)
    texts = writer.write(CORNER, 3.0, np.random.default_rng(3)).texts
    assert len(texts) == 4
    assert texts[0].startswith("<think>maybe ")
    assert texts[1].startswith("<think>nothing ")
    assert all('"look_for": "blocking"' in text for text in texts[:3])
    assert texts[3].startswith("<think>damage upper left</think><answer>")
    assert '"defect": "blocking", "severity": "strong"' in texts[3]


def test_a_look_that_shows_a_sliver_of_the_region_finds_nothing() -> None:
    wide, writer, slivers = (0.2, 0.2, 0.8, 0.8), make_writer(hit_rate=0.0, pair_rate=0.0), 0
    for seed in range(40):
        truth = Truth(distortion="jpeg", level=4.0, region=wide)
        texts = writer.write(truth, 3.0, np.random.default_rng(seed)).texts
        (call,) = read_chain_turn(texts[0]).calls
        assert call.bbox is not None
        if 0 < coverage(wide, [call.bbox]) <= ELSEWHERE:
            slivers += 1
            assert texts[1].startswith("<think>nothing ")
    assert slivers > 0


def test_two_looks_may_share_a_turn() -> None:
    writer = make_writer(hit_rate=0.0, pair_rate=1.0)
    texts = writer.write(CORNER, 3.0, np.random.default_rng(3)).texts
    assert [len(read_chain_turn(text).calls) for text in texts] == [2, 1, 0]


def test_images_without_a_defect_are_looked_at_too_and_have_no_evidence() -> None:
    writer = make_writer(doubt_look_rate=1.0)
    for seed in range(50):
        texts = writer.write(PRISTINE, 4.6, np.random.default_rng(seed)).texts
        assert len(texts) > 1
        assert texts[-1].endswith('<answer>{"evidence": [], "rating": 4.60}</answer>')
        assert "hidden defects" in texts[0]
    assert len(make_writer(doubt_look_rate=0.0).write(PRISTINE, 4.6, np.random.default_rng(0)).texts) == 1


def test_doubt_gets_up_to_three_looks_and_a_clear_defect_all_over_one() -> None:
    writer = make_writer(doubt_look_rate=1.0, clear_look_rate=1.0)
    looks: list[set[int]] = []
    for level in (2.0, 2.1):
        truth = Truth(distortion="jpeg", level=level, region=None)
        chains = [writer.write(truth, 3.0, np.random.default_rng(seed)).texts for seed in range(40)]
        looks.append({sum(len(read_chain_turn(text).calls) for text in texts) for texts in chains})
    assert looks == [{1, 2, 3}, {1}]


def test_a_defect_all_over_has_the_whole_image_as_evidence() -> None:
    truth = Truth(distortion="darken", level=5.0, region=None)
    texts = make_writer(clear_look_rate=0.0).write(truth, 2.0, np.random.default_rng(0)).texts
    assert texts == (
        '<think>damage everywhere</think><answer>{"evidence": [{"bbox_2d": [0.0, 0.0, 1.0, 1.0], '
        '"defect": "underexposure", "severity": "severe"}], "rating": 2.00}</answer>',
    )


def test_a_terse_thought_names_no_defect_and_a_full_one_does() -> None:
    """A tiny policy copies badly; a large one reasons by naming."""
    for seed in range(20):
        full, terse = (make_writer(name).write(LOCAL, 3.0, np.random.default_rng(seed)).texts for name in NAMES)
        noun = DEFECTS["jpeg"].noun
        assert not any(noun in text.partition("</think>")[0] for text in terse)
        assert noun in full[-1].partition("</think>")[0]
        assert full[-1].index('"rating"') < full[-1].index('"evidence"')


def test_equal_states_give_equal_texts() -> None:
    one, other = (make_writer("full").write(LOCAL, 3.0, np.random.default_rng(5)) for _ in range(2))
    assert one == other


def test_bad_settings_and_unknown_distortions_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.trajectories\.writer\.hit_rate"):
        make_writer(hit_rate=1.5)
    with pytest.raises(DataError, match="'moire' has no words"):
        make_writer().write(Truth(distortion="moire", level=3.0, region=None), 3.0, np.random.default_rng(0))

"""Trajectories from a score alone follow the protocol, say the score, and claim nothing that it does not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate
from PIL import Image

from support.checked_format import check_format
from zoom_iqa.base.defects import DEFECTS
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import ImagePart, rated_example
from zoom_iqa.config.composition import composed
from zoom_iqa.data.datasets import BenchmarkImages
from zoom_iqa.data.supervised.from_scores import ScoredTrajectories, ScoreRationales
from zoom_iqa.data.supervised.records import supervised_turns
from zoom_iqa.data.supervised.two_turns import Rationale
from zoom_iqa.tasks.answer import parse_answer, read_rating
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.zoom import StrictRules, ZoomSession, ZoomTask

CONF = Path(__file__).parents[3] / "conf" / "prompts"
SCORES = np.linspace(1.0, 5.0, 81)


@pytest.fixture(params=["full", "compact"])
def prompts(request: pytest.FixtureRequest) -> PromptSet:
    return instantiate(yaml.safe_load((CONF / f"{request.param}.yaml").read_text()))


def writer(prompts: PromptSet, crop_rate: float, **changed: float) -> ScoreRationales:
    settings = {"guess_pull": 0.5, "guess_spread": 0.3, "rating_spread": 0.0, **changed}
    return ScoreRationales(prompts=prompts, crop_rate=crop_rate, **settings)


def written(prompts: PromptSet, crop_rate: float) -> list[tuple[float, Rationale]]:
    rng = np.random.default_rng(0)
    return [(float(mos), writer(prompts, crop_rate).write(float(mos), rng)) for mos in SCORES]


def test_every_turn_is_well_formed_and_ends_on_the_score(prompts: PromptSet) -> None:
    for mos, rationale in written(prompts, crop_rate=0.5):
        for turn, text in enumerate(rationale.texts, start=1):
            assert check_format(text, sections=prompts.sections(turn), final_only=turn == 2).ok
        assert read_rating(rationale.texts[-1]) == pytest.approx(mos, abs=0.005)
        assert parse_answer(rationale.turn1).wants_crop == (rationale.turn2 is not None)


def test_crops_come_as_often_as_asked_whatever_the_score(prompts: PromptSet) -> None:
    assert all(rationale.turn2 is None for _, rationale in written(prompts, 0.0))
    assert all(rationale.turn2 is not None for _, rationale in written(prompts, 1.0))
    rng, write = np.random.default_rng(0), writer(prompts, 0.2).write
    for mos in (1.2, 4.9):
        assert np.mean([write(mos, rng).turn2 is not None for _ in range(1000)]) == pytest.approx(0.2, abs=0.04)


def test_the_first_score_of_a_trajectory_that_crops_is_drawn_to_the_middle(prompts: PromptSet) -> None:
    write = writer(prompts, 1.0, guess_pull=0.5, guess_spread=0.0).write
    rng = np.random.default_rng(0)
    assert read_rating(write(2.0, rng).turn1) == 2.5
    assert read_rating(write(5.0, rng).turn1) == 4.0


def test_no_kind_of_defect_is_named(prompts: PromptSet) -> None:
    texts = " ".join(text for _, rationale in written(prompts, 0.5) for text in rationale.texts)
    assert not [defect.noun for defect in DEFECTS.values() if defect.noun in texts]


def test_worse_scores_have_stronger_words_and_the_best_no_defect(prompts: PromptSet) -> None:
    write, rng = writer(prompts, 0.0).write, np.random.default_rng(0)
    words = {1.0: "severe", 1.49: "severe", 1.5: "strong", 3.0: "clear", 4.49: "mild"}
    for mos, word in words.items():
        assert any(f"{word} damage" in write(mos, rng).turn1 for _ in range(9))  # wordings of full prompts vary
    assert "damage" not in write(4.6, rng).turn1


def test_opinions_scatter_around_the_score_as_asked_and_stay_on_the_scale(prompts: PromptSet) -> None:
    write, rng = writer(prompts, 0.0, rating_spread=0.2).write, np.random.default_rng(0)
    opinions = [read_rating(write(3.0, rng).turn1) for _ in range(1000)]
    assert np.mean(opinions) == pytest.approx(3.0, abs=0.02)
    assert np.std(opinions) == pytest.approx(0.2, abs=0.02)
    extreme = [read_rating(write(5.0, rng).turn1) for _ in range(100)]
    assert max(extreme) == 5.0
    assert min(extreme) < 4.9


def test_further_views_are_parts_of_the_image_flipped_half_of_the_time(prompts: PromptSet, tmp_path: Path) -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (100, 1))  # each column its own value: a view tells where it was cut
    Image.fromarray(np.stack([ramp] * 3, axis=-1)).save(tmp_path / "ramp.png")
    items = [rated_example(id="a", dataset="real", mos=3.0, path=str(tmp_path / "ramp.png"))]
    images = BenchmarkImages(items=items, max_pixels=100_000, upright=True)
    data = ScoredTrajectories(
        images=images, writer=writer(prompts, 0.0), task=ZoomTask(prompts=prompts), views=40, seed=0
    )
    assert [item.id for item in data.items()[:3]] == ["a", "a-view1", "a-view2"]
    shown = [
        next(part.image for part in trajectory.turns[0].prompt[0].parts if isinstance(part, ImagePart))
        for trajectory in (data[i] for i in range(40))
    ]
    assert shown[0].size == (200, 100)
    assert {image.size[0] >= 160 and image.size[1] >= 80 for image in shown} == {True}
    assert len({image.size for image in shown}) > 20
    steps = [np.diff(np.asarray(image)[0, :, 0].astype(int)) for image in shown]
    assert all(set(step) in ({1}, {-1}) for step in steps)
    assert 8 <= sum(step[0] == -1 for step in steps) <= 32
    assert len({np.asarray(image)[0, :, 0].min() for image in shown}) > 10  # the column at which a view begins


def test_a_data_set_has_the_prompts_of_a_rollout_and_repeats_itself(prompts: PromptSet, tmp_path: Path) -> None:
    items = []
    for number, mos in enumerate((1.5, 3.2, 4.8)):
        Image.effect_noise((64, 48), 40).convert("RGB").save(tmp_path / f"{number}.png")
        items.append(rated_example(id=str(number), dataset="real", mos=mos, path=str(tmp_path / f"{number}.png")))
    images = BenchmarkImages(items=items, max_pixels=10_000, upright=True)
    data = ScoredTrajectories(
        images=images, writer=writer(prompts, 1.0), task=ZoomTask(prompts=prompts), views=1, seed=4
    )
    other = ScoredTrajectories(
        images=images, writer=writer(prompts, 1.0), task=ZoomTask(prompts=prompts), views=1, seed=5
    )
    assert all(data[index].turns[0].response != other[index].turns[0].response for index in range(3))
    assert (len(data), data.items()) == (3, images.items())
    for index, item in enumerate(items):
        trajectory = data[index]
        texts = [turn.response for turn in trajectory.turns]
        question = next(q for q in prompts.questions if q in trajectory.turns[0].prompt[0].parts[0].text)
        session = ZoomSession(
            sample=images[index], index=0, question=question, prompts=prompts, rules=StrictRules(), seed=0
        )
        again = supervised_turns(session, texts)
        assert [len(turn.prompt) for turn in trajectory.turns] == [len(turn.prompt) for turn in again] == [1, 3]
        assert texts == [turn.response for turn in data[index].turns]
        assert read_rating(texts[-1]) == item.mos


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"crop_rate": 1.5}, r"^data\.trajectories\.writer\.crop_rate=1.5"),
        ({"guess_pull": -0.1}, r"^data\.trajectories\.writer\.guess_pull=-0.1"),
        ({"guess_spread": -1}, "0 or more"),
        ({"rating_spread": float("nan")}, r"^data\.trajectories\.writer\.rating_spread=nan"),
    ],
)
def test_a_number_out_of_range_is_named(prompts: PromptSet, setting: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        writer(prompts, **{"crop_rate": 0.5, **setting})


@pytest.mark.parametrize("task", ["chain", "caption_reason"])
def test_tasks_that_ask_for_more_than_a_score_tells_are_refused(task: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("image,score\na.png,3\n")
    cfg = composed("train", [f"manifest={tmp_path / 'mine.csv'}", "data=manifest", f"task={task}"])
    assert cfg.data.trajectories.writer is None
    items = [rated_example(id="a", dataset="real", mos=3.0, path="none.png")]
    images = BenchmarkImages(items=items, max_pixels=100, upright=True)
    with pytest.raises(ConfigError, match=r"data\.trajectories\.writer: nothing writes .* from scores alone") as error:
        ScoredTrajectories(images=images, writer=None, task=instantiate(cfg.task), views=1, seed=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("task", ["zoom", "zoom_released"])
def test_tasks_with_crops_have_a_writer(task: str, tmp_path: Path) -> None:
    cfg = composed("train", [f"manifest={tmp_path / 'mine.csv'}", "data=manifest", f"task={task}"])
    assert cfg.data.trajectories.writer.crop_rate == 0.15


def test_at_least_one_view_is_asked_for(prompts: PromptSet, tmp_path: Path) -> None:
    items = [rated_example(id="a", dataset="real", mos=3.0, path=str(tmp_path / "none.png"))]
    images = BenchmarkImages(items=items, max_pixels=100, upright=True)
    with pytest.raises(ConfigError, match=r"^data\.trajectories\.views=0"):
        ScoredTrajectories(images=images, writer=writer(prompts, 0.0), task=ZoomTask(prompts=prompts), views=0, seed=0)

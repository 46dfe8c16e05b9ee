"""Written captions are well formed, say what is known and give no rating away; so does the question about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate
from PIL import Image

from zoom_iqa.base.defects import DEFECTS
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.types import ImagePart, Sample, TextPart, Truth, rated_example
from zoom_iqa.config.composition import composed
from zoom_iqa.data.supervised.captions import CaptionWriter
from zoom_iqa.data.supervised.described import THOUGHT, DescribedTurn
from zoom_iqa.data.supervised.records import supervised_turns
from zoom_iqa.tasks.answer import read_object
from zoom_iqa.tasks.caption import CaptionPrompts
from zoom_iqa.tasks.caption_reason import CaptionReasonPrompts, CaptionReasonTask, read_caption_reason
from zoom_iqa.tasks.description import Caption, description, kind_of_caption, struck

CONF = Path(__file__).parents[3] / "conf" / "prompts" / "caption_reason"
NAMES = ("full", "compact")
REGION = (0.05, 0.7, 0.3, 0.95)
EXAMPLE = rated_example(id="7", dataset="toy", mos=2.31)
DESCRIBED = CaptionPrompts(questions=["Good?"], prompt="{question} It is: {description}.")


def prompts(name: str) -> CaptionReasonPrompts:
    return instantiate(yaml.safe_load((CONF / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("region", [None, REGION])
@pytest.mark.parametrize("distortion", [None, *DEFECTS])
def test_captions_say_what_is_known(name: str, distortion: str | None, region: tuple[float, ...] | None) -> None:
    truth = Truth(distortion=distortion, level=4.0, region=None if distortion is None else region)
    (text,) = CaptionWriter(prompts=prompts(name)).write(truth, 2.31, np.random.default_rng(0)).texts
    reading = read_caption_reason(text)
    assert (reading.rating, reading.well_formed) == (2.31, True)
    assert kind_of_caption(text) is Caption.PLAIN
    words = description([text], text="caption_think")
    assert words is not None
    assert struck(words, strip="ratings_and_grades") == " ".join(words.split())
    if distortion is not None:
        assert f"strong {DEFECTS[distortion].noun}" in words
        assert ("lower left" in words) is (region is not None)


def test_what_looks_right_is_never_what_the_defect_spoils() -> None:
    writer, truth = CaptionWriter(prompts=prompts("compact")), Truth(distortion="jpeg", level=4.0, region=None)
    texts = [writer.write(truth, 2.31, np.random.default_rng(seed)).text for seed in range(200)]
    assert len(set(texts)) > 10  # of so many other merits one is drawn
    assert not any(f"Right: {DEFECTS['jpeg'].ideal}." in text for text in texts)


def test_equal_states_write_equal_captions_and_unknown_defects_are_named() -> None:
    writer = CaptionWriter(prompts=prompts("full"))
    truth = Truth(distortion="jpeg", level=2.0, region=None)
    first, again = (writer.write(truth, 3.0, np.random.default_rng(4)) for _ in range(2))
    assert first == again
    assert len({writer.write(truth, 3.0, np.random.default_rng(seed)).text for seed in range(20)}) > 5
    with pytest.raises(DataError, match="'fog' has no words"):
        writer.write(Truth(distortion="fog", level=2.0, region=None), 3.0, np.random.default_rng(0))


def described(rate: float) -> DescribedTurn:
    return DescribedTurn(prompts=DESCRIBED, text="caption", strip="ratings", rate=rate)


def test_own_words_are_those_that_the_probe_of_the_task_takes() -> None:
    turn = DescribedTurn(prompts=DESCRIBED, text="own", strip="none", rate=1.0)
    for text, words in (
        ('<caption>a cat</caption><think>soft</think><answer>{"rating": 2.40}</answer>', "a cat soft"),
        ('<think>soft</think><answer>{"rating": 2.40}</answer>', "soft"),
    ):
        (found,) = turn.turns(EXAMPLE, (text,), told=2.31, rng=np.random.default_rng(0))
        (part,) = found.prompt[0].parts
        assert isinstance(part, TextPart)
        assert part.text == f"Good? It is: {words}."


def test_the_description_is_asked_about_without_the_image() -> None:
    task = CaptionReasonTask(prompts=prompts("compact"))
    truth = Truth(distortion="jpeg", level=4.0, region=None)
    (text,) = CaptionWriter(prompts=task.prompts).write(truth, EXAMPLE.mos, np.random.default_rng(0)).texts
    sample = Sample.of(EXAMPLE, Image.new("RGB", (32, 32)))
    (shown,) = supervised_turns(task.rehearse(sample, np.random.default_rng(0)), (text,))
    assert any(isinstance(part, ImagePart) for part in shown.prompt[0].parts)
    (turn,) = described(1.0).turns(EXAMPLE, (text,), told=2.31, rng=np.random.default_rng(0))
    (part,) = turn.prompt[0].parts
    assert isinstance(part, TextPart)
    assert part.text == f"Good? It is: {description([text], text='caption')}."
    assert turn.response == f'<think>{THOUGHT}</think><answer>{{"rating": 2.31}}</answer>'
    assert [turn.response[slice(*span)] for span in turn.numbers] == ["2", "31"]


def test_a_trajectory_and_its_described_turn_tell_one_rating() -> None:
    """The generator's where SFT learns it: people's scores would leak otherwise."""
    overrides = ["+experiment=human_quickstart", "ratings=generator", "data.train.size=24"]
    trajectories = instantiate(composed("train", overrides).data.trajectories)
    turns = [trajectories[index].turns for index in range(len(trajectories))]
    pairs = [[read_object(turn.response).rating() for turn in own] for own in turns]
    told = [pair for pair in pairs if len(pair) == 2]
    assert len(told) > 4
    assert all(first == second for first, second in told)
    mos = [example.mos for example in trajectories.items()]
    assert any(abs(pair[0] - score) > 0.3 for pair, score in zip(pairs, mos, strict=True))


def test_it_is_asked_as_often_as_said_and_never_without_a_description() -> None:
    text = "<caption>a cat</caption><think>b</think>"
    rngs = map(np.random.default_rng, range(400))
    asked = [len(described(0.3).turns(EXAMPLE, (text,), told=2.31, rng=rng)) for rng in rngs]
    assert sum(asked) == pytest.approx(120, abs=30)
    assert described(0.0).turns(EXAMPLE, (text,), told=2.31, rng=np.random.default_rng(0)) == ()
    for silent in ("<think>b</think>", "<caption>3.5</caption>"):
        assert described(1.0).turns(EXAMPLE, (silent,), told=2.31, rng=np.random.default_rng(0)) == ()
    with pytest.raises(ConfigError, match=r"described\.rate=1.5"):
        described(1.5)

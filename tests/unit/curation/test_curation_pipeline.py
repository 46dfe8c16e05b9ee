"""The pipeline on a generator of known faults: each is refused by the step that is there for it, nothing else is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.made_rollouts import rollout, step
from support.toy_prompts import PROMPTS
from support.written_engine import written
from zoom_iqa.base.errors import BudgetError, ConfigError, DataError
from zoom_iqa.base.records import Record, record_of
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Example, Finish, Generation, ImagePart, Request, Sample, rated_example
from zoom_iqa.curation.agreement import ModelRater
from zoom_iqa.curation.card import card_text
from zoom_iqa.curation.estimate import asked_by
from zoom_iqa.curation.pipeline import Curated, Pipeline
from zoom_iqa.curation.steps import Asking
from zoom_iqa.curation.texts import VerificationPrompts, beginning_of
from zoom_iqa.curation.verdicts import chosen
from zoom_iqa.curation.verification import VisualReliance
from zoom_iqa.data.supervised.trajectories import FileTrajectories
from zoom_iqa.tasks.zoom import ZoomTask

FATES = {
    "sound": None,
    "cropped": None,
    "second_try": None,
    "malformed": ("read", "malformed"),
    "no_answer": ("read", "missing_answer"),
    "refused": ("read", "refused"),
    "long": ("read", "length"),
    "ungrounded": ("vrf", "alike_rating"),
    "same_box": ("vrf", "alike_box"),
    "mute": ("vrf", "unverified"),
    "contradiction": ("hacf", "contradiction"),
    "unrated": ("hacf", "unrated"),
}
NAMES = list(FATES)
WHOLE = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=99, stop_strings=())


class Pictures:
    """A picture of noise a name."""

    def items(self) -> Sequence[Example]:
        return [rated_example(id=name, dataset="faults", mos=1 + i * 0.25) for i, name in enumerate(NAMES)]

    def __len__(self) -> int:
        return len(self.items())

    def __getitem__(self, index: int) -> Sample:
        pixels = np.random.default_rng(index).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        return Sample.of(self.items()[index], Image.fromarray(pixels))


def answer(rating: float, box: str = "0, 0, 0, 0") -> str:
    tool = "final" if box == "0, 0, 0, 0" else "crop"
    return f'<answer>{{"bbox_2d": [{box}], "rating": {rating:.2f}, "tool": "{tool}"}}</answer>'


def reply(name: str, asked: str, attempt: int) -> tuple[str, Finish]:
    """What the generator says of the picture of a name; ``asked`` is the step."""
    match asked:
        case "turn1":
            if name in ("malformed", "second_try") and not (name == "second_try" and attempt == 1):
                return written("turn1", rating=3.0, crop=False).replace("Improve", "Improving"), "stop"
            if name == "no_answer":
                return "I like it.", "stop"
            if name in ("refused", "long"):
                return "", "refused" if name == "refused" else "length"
            return written("turn1", rating=3.0, crop=name in ("cropped", "same_box")), "stop"
        case "turn2":
            return written("turn2", rating=2.5, crop=False), "stop"
        case "vrf/with":
            return ("?" if name == "mute" else answer(3.0, "0.1, 0.1, 0.5, 0.5")), "stop"
        case "vrf/without":
            rating = 3.02 if name == "ungrounded" else 4.0
            return answer(rating, "0.1, 0.1, 0.5, 0.6" if name == "same_box" else "0.6, 0.6, 0.9, 0.9"), "stop"
        case "hacf":
            verdict = {"contradiction": "Fail", "unrated": "perhaps"}.get(name, "Pass")
            return f"<verdict>{verdict}</verdict>", "stop"
    raise AssertionError(asked)


class Faulty:
    """Counts what it is asked. After ``budget`` answers it raises; names (or name/attempt) in ``fails`` fail."""

    def __init__(self, budget: int | None = None, fails: Sequence[str] = ()) -> None:
        self.sampling = WHOLE
        self.asked: list[str] = []
        self.images: dict[str, int] = {}
        self._budget, self._fails = budget, fails
        self._waiting: list[Request] = []

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def step(self) -> list[Generation]:
        if not self._waiting:
            return []
        if self._budget is not None and len(self.asked) >= self._budget:
            raise BudgetError("spent")
        request = self._waiting.pop(0)
        self.asked.append(request.key)
        self.images[request.key] = sum(isinstance(part, ImagePart) for m in request.prompt for part in m.parts)
        _, rest = request.key.split(":")
        name, *_, last = rest.split("/")
        attempt = int(rest.split("/")[-2]) if last.startswith("turn") else 0
        asked = last if "/vrf/" not in rest else f"vrf/{last}"
        text, finish = ("", "failed") if {name, f"{name}/{attempt}"} & set(self._fails) else reply(name, asked, attempt)
        return [Generation(request.key, text, None, None, None, finish)]  # type: ignore[arg-type]

    def refresh(self) -> None: ...

    def release(self) -> None: ...


def pipeline_of(**changed: Any) -> Pipeline:
    parts: dict[str, Any] = {
        "task": ZoomTask(prompts=PROMPTS),
        "prompts": PROMPTS,
        "attempts": 2,
        "vrf": VisualReliance(refuse_when="any", rating=0.05, iou=0.5, entropy=0.01),
        "vrf_prompts": VerificationPrompts(with_image="{question} {rationale}", without_image="{question} {rationale}"),
        "hacf": ModelRater(level="sample", max_failed=0.0, prompt="{hints} {rationale}"),
    }
    return Pipeline(**{**parts, **changed})


def run(folder: Path, engine: Faulty, **changed: Any) -> Curated:
    folder.mkdir(exist_ok=True)
    asking = Asking(
        dataset=Pictures(),
        engines={"policy": engine, "rater": engine},
        batch_size=5,
        seed=3,
        unanswered={},
        cost=lambda: {"requests": len(engine.asked)},
    )
    return pipeline_of(**changed).run(folder, asking, split="train", about={"generator": "faults"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Curated, Faulty]:
    folder, engine = tmp_path_factory.mktemp("curated"), Faulty()
    return folder, run(folder, engine), engine


def fates(curated: Curated) -> dict[str, tuple[str | None, str | None] | None]:
    return {one.id: None if one.kept else (one.step, one.reason) for one in curated.verdicts}


def test_every_fault_is_refused_where_it_should_be(made: tuple[Path, Curated, Faulty]) -> None:
    assert fates(made[1]) == FATES


def test_vrf_shows_the_image_once_and_hides_it_once_and_the_rater_sees_it(made: tuple[Path, Curated, Faulty]) -> None:
    shown = made[2].images
    for name in ("sound", "cropped", "contradiction"):
        assert shown[f"faults:{name}/0/vrf/with"] == 1
        assert shown[f"faults:{name}/0/vrf/without"] == 0
        assert shown[f"faults:{name}/0/hacf"] == 1


def test_malformed_answers_are_asked_for_again_and_others_are_not(made: tuple[Path, Curated, Faulty]) -> None:
    attempts = {one.id: one.attempts for one in made[1].verdicts}
    again = {"second_try", "malformed", "no_answer", "refused", "long"}
    assert attempts == {name: 2 if name in again else 1 for name in NAMES}


def test_of_several_attempts_the_first_well_formed_one_is_chosen() -> None:
    def attempt(sample: int, text: str) -> Record:
        made = rollout(rated_example(id="a", dataset="d", mos=3.0), step(3.0, text=text, well_formed=text == "sound"))
        return replace(record_of(made), sample=sample)

    sound, other, bad = attempt(1, "sound"), attempt(2, "sound"), [attempt(0, "bad"), attempt(3, "bad")]
    assert chosen([other, *bad, sound]) is sound
    assert chosen(bad) is bad[-1]


def test_what_was_kept_can_be_trained_on(made: tuple[Path, Curated, Faulty]) -> None:
    folder, curated, _ = made
    assert curated.sft == folder / "sft_train.jsonl"
    turns = FileTrajectories(path=str(curated.sft), image_root=str(folder), max_pixels=None, upright=True)
    assert [item.id for item in turns.items()] == ["sound/turn1", "cropped/turn1", "cropped/turn2", "second_try/turn1"]
    (turn,) = turns[2].turns
    parts = [part for message in turn.prompt for part in message.parts if isinstance(part, ImagePart)]
    assert parts[0].key == Pictures()[1].images[0].key  # the pixels that were judged
    assert turn.response == written("turn2", rating=2.5, crop=False)
    assert turns.items()[2].mos == 1.25


def test_the_card_counts_every_step(made: tuple[Path, Curated, Faulty]) -> None:
    folder, curated, engine = made
    card = json.loads((folder / "card.json").read_text())
    assert card == curated.card
    assert (card["images"], card["kept"], card["undecided"]) == (12, 3, 0)
    assert {step: sum(reasons.values()) for step, reasons in card["refused"].items()} == {
        "read": 4,
        "vrf": 3,
        "hacf": 2,
    }
    assert card["attempts"] == {"1": 7, "2": 5}
    assert card["vrf_tests"]["entropy"] == {"had_values": 0, "alike": 0}
    assert card["vrf_tests"]["rating"] == {"had_values": 7, "alike": 1}
    assert card["after"]["crop_rate"] == pytest.approx(1 / 3)
    # ratings are 3, and 2.5 behind a crop; people's scores rise by 0.25 a name from 1; three names have no rating
    before = [2, 1.25, 1.5, 1.25, 0.25, 0.5, 0.25, 0.5, 0.75]
    assert (card["before"]["n"], card["after"]["n"]) == (9, 3)
    assert card["before"]["rmse"] == pytest.approx((sum(d * d for d in before) / 9) ** 0.5)
    assert card["after"]["rmse"] == pytest.approx((sum(d * d for d in before[:3]) / 3) ** 0.5)
    words = [len(written(turn, rating=3.0, crop=False).split()) for turn in ("turn1", "turn1", "turn2", "turn1")]
    assert card["after"]["words_a_turn"] == pytest.approx(sum(words) / 4)
    assert card["cost"] == {"requests": len(engine.asked)}
    text = (folder / "card.md").read_text()
    assert "| refused by vrf | alike_rating | 1 |" in text
    assert "The entropy test was off" in text


def test_the_card_says_why_there_was_no_test_of_entropies(tmp_path: Path) -> None:
    run(tmp_path, Faulty(), vrf=VisualReliance(refuse_when="any", rating=0.05, iou=0.5, entropy=None))
    text = (tmp_path / "card.md").read_text()
    assert "The entropy test was off: vrf.entropy is null." in text
    assert "gave no log-probabilities" not in text
    assert "| entropy |" not in text


def test_millions_of_tokens_are_written_in_full(made: tuple[Path, Curated, Faulty]) -> None:
    cost = {"generator_input_tokens": 12_345_678, "generator_money": 4321.5}
    text = card_text({**made[1].card, "cost": cost}, about={})
    assert "- generator_input_tokens: 12,345,678\n- generator_money: 4,321.5" in text
    assert "- nothing: answers were made in this process" in card_text({**made[1].card, "cost": {}}, about={})


def test_a_second_run_asks_nothing_and_other_thresholds_do_neither(made: tuple[Path, Curated, Faulty]) -> None:
    folder, curated, _ = made
    silent = Faulty(budget=0)
    assert run(folder, silent).verdicts == curated.verdicts
    wide = run(folder, silent, vrf=VisualReliance(refuse_when="any", rating=5.0, iou=None, entropy=None))
    mute = {"mute": ("vrf", "unverified")}
    read = {name: fate for name, fate in FATES.items() if fate is not None and fate[0] == "read"}
    assert fates(wide) == {**dict.fromkeys(NAMES, ("vrf", "alike_rating")), **read, **mute}
    assert run(folder, silent).verdicts == curated.verdicts


def test_another_question_to_the_rater_is_asked_and_the_old_answers_stay(tmp_path: Path) -> None:
    first = run(tmp_path, Faulty())
    rated = [name for name, fate in FATES.items() if fate is None or fate[0] == "hacf"]
    for other in (
        ModelRater(level="sample", max_failed=0.0, prompt="{hints} {rationale} Be strict."),
        ModelRater(level="sentence", max_failed=0.0, prompt="{hints} {rationale}"),
    ):
        engine = Faulty()
        run(tmp_path, engine, hacf=other)
        assert sorted(engine.asked) == sorted(f"faults:{name}/{int(name == 'second_try')}/hacf" for name in rated)
    assert run(tmp_path, Faulty(budget=0)).verdicts == first.verdicts


def test_labels_that_were_corrected_are_not_mixed_with_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, Faulty())
    before = (tmp_path / "verdicts.jsonl").read_bytes()
    first, *others = Pictures().items()
    corrected = [rated_example(id=first.id, dataset="faults", mos=4.5), *others]
    monkeypatch.setattr(Pictures, "items", lambda self: corrected)
    with pytest.raises(DataError, match=r"(?s)trajectories\.jsonl holds answers .*faults:sound: 1 then, 4\.5 now"):
        run(tmp_path, Faulty())
    assert (tmp_path / "verdicts.jsonl").read_bytes() == before
    for name in ("trajectories", "vrf", "hacf"):  # what the message says to do
        (tmp_path / f"{name}.jsonl").unlink()
    assert run(tmp_path, Faulty()).records["faults", "sound"].example.mos == 4.5


def test_fewer_images_in_a_folder_are_those_images_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path, Faulty())
    items = Pictures().items()[-3:]
    monkeypatch.setattr(Pictures, "items", lambda self: items)
    silent = Faulty(budget=0)
    few = run(tmp_path, silent)
    assert fates(few) == {name: FATES[name] for name in NAMES[-3:]}
    assert (few.card["images"], few.card["undecided"], few.card["kept"]) == (3, 0, 0)
    assert few.card["vrf_tests"]["rating"]["had_values"] == 2
    assert {one.id for one in few.rater_answers} <= set(NAMES[-3:])
    assert {one.id for one in whole.rater_answers} - set(NAMES[-3:])
    monkeypatch.undo()
    assert run(tmp_path, silent).card["vrf_tests"] == whole.card["vrf_tests"]


@pytest.mark.parametrize("without", ["vrf", "hacf"])
def test_a_filter_can_be_left_out(without: str, tmp_path: Path) -> None:
    curated = run(tmp_path, Faulty(), **{without: None})
    expected = {name: None if fate is not None and fate[0] == without else fate for name, fate in FATES.items()}
    assert fates(curated) == expected


def test_stopped_anywhere_it_goes_on_to_the_same_end(made: tuple[Path, Curated, Faulty], tmp_path: Path) -> None:
    _, whole, engine = made
    asked = 0
    for budget in (7, 9, 11, 13, None):
        part = Faulty(budget=budget)
        with contextlib.suppress(BudgetError):
            curated = run(tmp_path, part)
        asked += len(part.asked)
    assert curated.verdicts == whole.verdicts
    assert asked >= len(engine.asked)


def test_an_answer_that_failed_is_asked_for_again_by_the_same_command(tmp_path: Path) -> None:
    first = run(tmp_path, Faulty(fails=["sound"]))
    assert "sound" not in fates(first)
    assert (first.card["undecided"], first.card["unanswered"]["generate"]) == (1, 1)  # an image, however often asked
    again = run(tmp_path, Faulty())
    assert (fates(again), again.card["unanswered"]["generate"]) == (FATES, 0)


def test_an_answer_that_another_attempt_has_brought_is_not_waited_for(tmp_path: Path) -> None:
    assert run(tmp_path, Faulty(fails=["sound/0"])).card["unanswered"]["generate"] == 0


def test_the_beginning_of_a_rationale_ends_before_its_decision() -> None:
    text = "<think>Quality: a\nImprove: b\nAvoid: c\nDecision: 3.00 it is</think><answer>{}</answer>"
    assert beginning_of(text, PROMPTS.sections(1)) == "Quality: a\nImprove: b\nAvoid: c"


class Refuses:
    """A filter of one's own, which asks no model."""

    def reason_of(self, record: Record) -> str | None:
        return "too_short"


def test_a_filter_of_ones_own_is_applied(tmp_path: Path) -> None:
    curated = run(tmp_path / "own", Faulty(), vrf=None, hacf=Refuses())
    passed = run(tmp_path / "none", Faulty(), vrf=None, hacf=None)
    kept = [verdict for verdict in passed.verdicts if verdict.kept]
    own = {(verdict.dataset, verdict.id): verdict for verdict in curated.verdicts}
    assert kept
    assert [own[one.dataset, one.id].reason for one in kept] == ["too_short"] * len(kept)


def test_a_filter_that_can_refuse_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hacf: object has no reason_of\(record\) to refuse by"):
        run(tmp_path, Faulty(), hacf=object())


def test_filters_of_ones_own_come_after_the_two_each_under_its_name(tmp_path: Path) -> None:
    first = run(tmp_path, Faulty())
    silent = Faulty(budget=0)
    curated = run(tmp_path, silent, filters={"short": Refuses(), "later": Refuses()})
    assert fates(curated) == {name: ("short", "too_short") if fate is None else fate for name, fate in FATES.items()}
    assert curated.card["kept"] == 0
    assert curated.card["refused"] == {**first.card["refused"], "short": {"too_short": 3}}
    assert "| refused by short | too_short | 3 |" in (tmp_path / "card.md").read_text()
    assert run(tmp_path, silent).verdicts == first.verdicts


def test_the_rater_is_asked_whatever_comes_after_it(tmp_path: Path) -> None:
    alone, beside = Faulty(), Faulty()
    run(tmp_path / "alone", alone)
    run(tmp_path / "beside", beside, filters={"short": Refuses()})
    assert beside.asked == alone.asked
    estimates = [
        asked_by(pipeline_of(filters=filters), images=5, generator_price=None, rater_price=None)
        for filters in ({}, {"short": Refuses()})
    ]
    assert estimates[0] == estimates[1]
    rows = asked_by(pipeline_of(), images=5, generator_price=2.0, rater_price=8.0)  # two attempts of up to two turns
    assert [(row.step, row.least, row.most, row.output_price) for row in rows] == [
        ("generate", 5, 20, 2.0), ("vrf", 0, 10, 2.0), ("hacf", 0, 5, 8.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "one", "said"),
    [
        ("vrf", Refuses(), r"filters\.vrf: vrf is a step already; give the filter another name"),
        ("short", object(), r"filters\.short: object has no reason_of\(record\) to refuse by"),
    ],
)
def test_a_filter_of_ones_own_that_cannot_be_is_named(name: str, one: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        pipeline_of(filters={name: one})

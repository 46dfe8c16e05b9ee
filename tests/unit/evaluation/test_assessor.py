"""Images of any origin become assessments: in their order, equal pixels once, and no bad file stops the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from support.made_assessments import grey_image, image_assessor
from support.random_policy import noise_image
from support.written_engine import WrittenEngine, written
from zoom_iqa.base.errors import ConfigError, ImageError
from zoom_iqa.evaluation.assessment import Assessment, Unviewable
from zoom_iqa.evaluation.assessor import ImageAssessor
from zoom_iqa.policy.policy import Policy


def saved(folder: Path, *greys: int) -> list[Path]:
    paths = [folder / f"{grey}.png" for grey in greys]
    for path, grey in zip(paths, greys, strict=True):
        grey_image(grey).save(path)
    return paths


@pytest.mark.parametrize("workers", [0, 1])
def test_files_are_rated_in_their_order(tmp_path: Path, random_policy: Policy, workers: int) -> None:
    paths = saved(tmp_path, 0, 51, 102, 153, 204)
    found = image_assessor(policy=random_policy, workers=workers, batch_size=2).assess_many(paths)
    assert [one.source for one in found] == [str(path) for path in paths]
    assert [one.rating for one in found if isinstance(one, Assessment)] == pytest.approx([1.0, 1.8, 2.6, 3.4, 4.2])


def test_bad_files_are_outcomes_and_the_rest_goes_on(tmp_path: Path, random_policy: Policy) -> None:
    (good,) = saved(tmp_path, 255)
    (tmp_path / "text.png").write_text("no image")
    grey_image(9, width=500, height=2).save(tmp_path / "thin.png")
    names = [tmp_path / "text.png", good, tmp_path / "thin.png", tmp_path / "none.png", tmp_path]
    first, second, third, fourth, fifth = image_assessor(policy=random_policy).assess_many(names)
    assert isinstance(second, Assessment)
    assert second.rating == 5.0
    for one, why in ((first, "format"), (third, "too thin"), (fourth, "no such file"), (fifth, "folder")):
        assert isinstance(one, Unviewable)
        assert one.source in one.reason
        assert why in one.reason


def test_equal_pixels_are_judged_once_whatever_they_are_called(tmp_path: Path, random_policy: Policy) -> None:
    one, other = saved(tmp_path, 100, 200)
    copy = tmp_path / "copy.bmp"
    grey_image(100).save(copy)
    asked: list[str] = []
    found = image_assessor(policy=random_policy, asked=asked).assess_many([one, copy, other])
    assert len(asked) == 2
    assert [outcome.source for outcome in found] == [str(one), str(copy), str(other)]
    assert found[0].records == found[1].records  # type: ignore[union-attr]


def test_draws_follow_from_pixels_and_not_from_name_or_company(tmp_path: Path, random_policy: Policy) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        noise_image(number, 64, 48).save(path)
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "moved.png"
    noise_image(2, 64, 48).save(moved)
    drawing = image_assessor(policy=random_policy, engine=WrittenEngine, samples=3, batch_size=4)
    together = drawing.assess_many(paths)
    alone = drawing.assess(moved)
    assert alone.records[0].steps == together[2].records[0].steps  # type: ignore[union-attr]
    assert [record.rating for record in alone.records] == [r.rating for r in together[2].records]  # type: ignore[union-attr]


def test_answers_drawn_anew_are_others_each_time_and_the_same_again(random_policy: Policy) -> None:
    drawing = image_assessor(policy=random_policy, engine=WrittenEngine, samples=4)
    image = noise_image(1, 64, 48)

    def ratings(assessor: ImageAssessor) -> list[float | None]:
        return [record.rating for record in assessor.assess(image).records]

    first, anew, other = ratings(drawing), ratings(drawing.drawn_anew()), ratings(drawing.drawn_anew(2))
    assert first == ratings(drawing)
    assert anew == ratings(drawing.drawn_anew())
    assert len({tuple(first), tuple(anew), tuple(other)}) == 3


def test_an_image_in_memory_is_seen_as_its_file_is(tmp_path: Path, random_policy: Policy) -> None:
    image = noise_image(3, 300, 200)
    image.save(tmp_path / "large.png")
    assessor = image_assessor(policy=random_policy)
    there, here = assessor.assess(tmp_path / "large.png"), assessor.assess(image)
    assert there.size == here.size == (122, 81)  # 10,000 pixels at most, 3 : 2
    assert there.records[0].example.id == here.records[0].example.id
    assert assessor.view(image).size == (122, 81)
    rgba = Image.new("RGBA", (48, 32), (0, 0, 0, 0))
    assert assessor.assess(rgba).rating == 5.0  # transparency lies on white


def test_a_closer_look_is_part_of_it(random_policy: Policy) -> None:
    def say(grey: float, turn: int) -> str:
        return written(f"turn{turn}", rating=3.0 if turn == 1 else 2.25, crop=turn == 1)

    found = image_assessor(say, policy=random_policy).assess(grey_image(7, 100, 100))
    (look,) = found.looks
    assert (look.before, look.after, found.rating) == (3.0, 2.25, 2.25)
    assert found.paragraphs[1] == {"Crop": "x", "Improve": "x", "Avoid": "x", "Final": "x"}


def test_one_image_that_cannot_be_viewed_is_an_error(random_policy: Policy) -> None:
    with pytest.raises(ImageError, match="no such file"):
        image_assessor(policy=random_policy).assess("nowhere.png")


def test_nothing_to_assess_is_nothing(random_policy: Policy) -> None:
    assert image_assessor(policy=random_policy).assess_many([]) == []


def test_the_policy_is_in_evaluation_mode_and_no_gradient_is_kept(random_policy: Policy) -> None:
    random_policy.model.train()
    assessor = image_assessor(policy=random_policy, engine=WrittenEngine)
    assert not random_policy.model.training
    for _ in assessor.batches([grey_image(1)]):
        assert torch.is_grad_enabled()  # only the work itself is without


@pytest.mark.parametrize("changed", [{"batch_size": 0}, {"samples": 0}])
def test_numbers_below_one_are_refused(changed: dict[str, int], random_policy: Policy) -> None:
    ((name, _),) = changed.items()
    with pytest.raises(ConfigError, match=f"{name}=0 must be a whole number of at least 1; it counts"):
        image_assessor(policy=random_policy, **changed)

"""Pairs of one content: which image is preferred, in which order, and the embedded set's."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.loaded_benchmark import load_benchmark
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.targets import CHOICES, MIRRORED, Choice, Preference
from zoom_iqa.base.types import ImageRef, rated_example
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.pairs import EmbeddedPairBenchmark, EmbeddedPairs
from zoom_iqa.data.pairs import Orders, PairRule, choice_between, image_id, pairs_within
from zoom_iqa.data.subset import FixedSubset
from zoom_iqa.data.supervised.comparisons import ComparisonWriter, WrittenComparisons
from zoom_iqa.data.supervised.rationales import defect_of
from zoom_iqa.tasks.compare import ComparePrompts, CompareTask, read_comparison

LIGHT = (16, 17, 18, 25)  # brighten, darken, mean shift, contrast: pixels change all over
SCORES = st.floats(1, 5)


@pytest.mark.parametrize(
    ("first", "second", "choice"),
    [
        (3.0, 2.5, "Image A"),
        (2.5, 3.0, "Image B"),
        (3.0, 2.7, "Similar"),
        (2.7, 3.0, "Similar"),
        (4.1, 3.79, "Image A"),
    ],
)
def test_the_higher_score_is_preferred_outside_the_band(first: float, second: float, choice: Choice) -> None:
    assert choice_between(first, second, band=0.3) == choice


@given(SCORES, SCORES, st.floats(0, 2))
def test_the_other_order_has_the_mirrored_choice(first: float, second: float, band: float) -> None:
    assert choice_between(second, first, band=band) == MIRRORED[choice_between(first, second, band=band)]


def test_all_pairs_of_one_reference() -> None:
    examples = [
        rated_example(id=name, dataset="d", mos=mos, path=f"/x/{name}.png", reference_id=source)
        for name, mos, source in [("a", 2.0, "s"), ("b", 3.0, "s"), ("c", 3.0, "s"), ("d", 1.0, "t"), ("e", 4.0, None)]
    ]
    pairs = pairs_within(examples, band=0.0)
    assert [(p.first.id, p.second.id, p.choice) for p in pairs] == [
        ("a", "b", "Image B"),
        ("a", "c", "Image B"),
        ("b", "c", "Similar"),
    ]
    straight, swapped = (pairs[0].example(dataset="p", swapped=swap) for swap in (False, True))
    assert straight.target == Preference(choice="Image B", pair="a vs b")
    assert swapped.target == Preference(choice="Image A", pair="a vs b", swapped=True)
    assert (straight.id, swapped.id) == ("a vs b", "b vs a")
    assert [image_id(ref) for ref in swapped.images] == ["b", "a"]
    with_reference = pairs[0].example(dataset="p", swapped=False, reference=ImageRef(path="/x/r.png"))
    assert [ref.path for ref in with_reference.images] == ["/x/r.png", "/x/a.png", "/x/b.png"]


def embedded(*, augmented: bool = False, size: int = 400, split: str = "train") -> EmbeddedSet:
    return EmbeddedSet(
        split=split,
        size=size,
        seed=1,
        local_fraction=0.25,
        pristine_fraction=0.03,
        procedural_fraction=0.3 if augmented else 0.0,
        continuous_levels=False,
        augmented=augmented,
        references=None,
    )


RULE = PairRule(band=0.3, similar=0.4)


def made(orders: Orders, *, size: int = 50, images: EmbeddedSet | None = None) -> EmbeddedPairs:
    return EmbeddedPairs(images=images or embedded(), rule=RULE, size=size, orders=orders, seed=0)


@pytest.mark.parametrize("orders", ["both", "drawn"])
def test_pairs_are_balanced_and_of_one_photograph(orders: Orders) -> None:
    images = embedded()
    mos = {item.id: item.mos for item in images.items()}
    source = {item.id: item.reference_id for item in images.items()}
    pairs = made(orders, images=images)
    counts: Counter[str] = Counter()
    for index, item in enumerate(pairs.items()):
        first, second = (image_id(ref) for ref in item.images)
        assert isinstance(item.target, Preference)
        assert source[first] == source[second] == item.reference_id
        assert item.target.choice == choice_between(mos[first], mos[second], band=0.3)
        assert pairs.scores(index) == (mos[first], mos[second])
        counts[item.target.choice] += 1
    times = 2 if orders == "both" else 1
    assert [counts[choice] for choice in CHOICES] == [15 * times, 15 * times, 20 * times]
    swapped = [item.target.swapped for item in pairs.items() if item.target.choice == "Similar"]  # type: ignore[union-attr]
    assert 5 * times <= sum(swapped) <= 15 * times
    assert len({item.target.pair for item in pairs.items() if isinstance(item.target, Preference)}) == 50
    assert len({item.id for item in pairs.items()}) == 50 * times


def test_equal_seeds_give_equal_pairs() -> None:
    assert made("both").items() == made("both").items()
    other = EmbeddedPairs(images=embedded(), rule=RULE, size=50, orders="both", seed=1)
    assert other.items() != made("both").items()


def test_both_orders_show_the_same_two_pictures() -> None:
    pairs = made("both")
    straight, swapped = pairs[0], pairs[1]
    assert [image.key for image in straight.images] == [image.key for image in swapped.images][::-1]
    assert straight.example.images == swapped.example.images[::-1]


def test_both_orders_show_one_cut_of_an_augmented_picture() -> None:
    pairs = made("both", images=embedded(augmented=True), size=2)
    for straight, swapped in ((pairs[0], pairs[1]), (pairs[2], pairs[3])):
        assert [image.key for image in straight.images] == [image.key for image in swapped.images][::-1]


def test_pictures_are_those_of_the_single_images() -> None:
    images = embedded()
    index_of = {item.id: index for index, item in enumerate(images.items())}
    pairs = made("drawn", images=images, size=10)
    for index in range(4):
        sample, truths = pairs.made(index)
        singles = [images[index_of[image_id(ref)]] for ref in sample.example.images]
        assert [image.key for image in sample.images] == [single.images[0].key for single in singles]
        assert list(truths) == [single.example.truth for single in singles]


def test_augmented_pictures_are_cut_alike() -> None:
    """Seen in the size and, far from any distortion, in the pixels of two pictures of a pair."""
    images = embedded(augmented=True)
    recipe_of = {item.id: recipe for item, recipe in zip(images.items(), images.recipes, strict=True)}
    pairs = made("drawn", images=images)
    alike, checked = [], 0
    for index, item in enumerate(pairs.items()):
        recipes = [recipe_of[image_id(ref)] for ref in item.images]
        if checked == 6 or any(
            r.extent is None and r.kind is not None and r.kind.number in (16, 17, 18) for r in recipes
        ):
            continue
        checked += 1
        first, second = (np.asarray(image.image, dtype=float).mean(2) for image in pairs[index].images)
        assert first.shape == second.shape
        alike.append(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    assert np.median(alike) > 0.8  # another cut or flip of a photograph has nothing like it


def test_the_benchmark_is_as_its_config_says() -> None:
    benchmark = load_benchmark("embedded_pairs", [])
    assert isinstance(benchmark, EmbeddedPairBenchmark)
    pairs = benchmark.images("test", max_pixels=None, upright=True, size=None)
    counts = Counter(item.target.choice for item in pairs.items() if isinstance(item.target, Preference))
    assert counts == {"Image A": 200, "Image B": 200, "Similar": 200}
    singles = load_benchmark("embedded", []).images("test", max_pixels=None, upright=True, size=None)
    known = {item.id for item in singles.items()}
    assert all(image_id(ref) in known for item in pairs.items() for ref in item.images)
    chosen = FixedSubset(dataset=pairs, limit=10).items()
    assert Counter(item.target.pair for item in chosen if isinstance(item.target, Preference)).most_common(1)[0][1] == 2
    assert len({item.target.pair for item in chosen if isinstance(item.target, Preference)}) == 5


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"size=9000: 3600 similar pairs are needed, and 400 images have \d+; give"):
        made("both", size=9000)
    with pytest.raises(ConfigError, match="orders=none: use both, or drawn"):
        made("none")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="size=0 must be a whole number of at least 1; it counts pairs"):
        made("both", size=0)
    with pytest.raises(ConfigError, match=r"rule\.band"):
        PairRule(band=-0.1, similar=0.3)
    with pytest.raises(ConfigError, match=r"rule\.similar"):
        PairRule(band=0.1, similar=1.3)


@pytest.mark.parametrize("terse", [True, False])
def test_written_answers_are_in_the_form_and_say_the_label(terse: bool) -> None:
    prompts = ComparePrompts(
        questions=["Which?"],
        prompt="{question}",
        reference_label="R",
        first_label="A",
        second_label="B",
        terse=terse,
    )
    pairs = made("both", size=20)
    task = CompareTask(prompts=prompts, reference=False)
    written = WrittenComparisons(pairs=pairs, writer=ComparisonWriter(prompts=prompts), task=task, seed=0)
    assert len(written) == 40
    for index in range(6):
        (turn,) = written[index].turns
        read = read_comparison(turn.response)
        target = pairs.items()[index].target
        assert isinstance(target, Preference)
        assert (read.choice, read.well_formed) == (target.choice, True)
        scores = pairs.scores(index)
        assert turn.response.index(f"{scores[0]:.2f}") < turn.response.rindex(f"{scores[1]:.2f}")
        _, truths = pairs.made(index)
        first, second = (turn.response.index(f"{one}: " if terse else f"Image {one} ") for one in "AB")
        nouns = [defect_of(truth.distortion).noun for truth in truths]
        assert nouns[0] in turn.response[first:second]
        assert nouns[1] in turn.response[second:]
        assert written[index].turns[0].response == turn.response
        assert len(written[index].images) == 2


def test_a_task_about_one_image_cannot_learn_from_pairs() -> None:
    prompts = ComparePrompts(
        questions=["Which?"], prompt="{question}", reference_label="R", first_label="A", second_label="B", terse=True
    )
    task = CompareTask(prompts=prompts, reference=True)
    with pytest.raises(DataError, match="asks about a reference and two images"):
        WrittenComparisons(pairs=made("drawn"), writer=ComparisonWriter(prompts=prompts), task=task, seed=0)

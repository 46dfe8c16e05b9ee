"""SRIQA-Bench on a small folder of its publisher's layout, through its shipped configs; values by hand."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from hydra.errors import InstantiationException

from support.loaded_benchmark import load_benchmark
from support.made_sriqa import SCORES, make_sriqa, name_of, write_label, write_scores
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.targets import MIRRORED, Preference
from zoom_iqa.base.types import Example
from zoom_iqa.data.benchmarks.check import inspect
from zoom_iqa.data.benchmarks.sriqa import kind_of, method_of
from zoom_iqa.data.benchmarks.sriqa_pairs import SRIQAPairs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_sriqa(tmp_path)


def pairs_at(root: Path, *overrides: str) -> SRIQAPairs:
    benchmark = load_benchmark("srbench", [f"benchmark.root={root}", *overrides])
    assert isinstance(benchmark, SRIQAPairs)
    return benchmark


def targets(examples: list[Example]) -> dict[str, Preference]:
    return {one.id: one.target for one in examples if isinstance(one.target, Preference)}


def test_single_images_have_their_scores_on_1_to_5(root: Path) -> None:
    items = {item.id: item for item in load_benchmark("srbench_images", [f"benchmark.root={root}"]).items("all")}
    assert len(items) == 10
    first = items["x1_SUPIRx4"]
    assert (first.mos, first.reference_id) == (pytest.approx(1 + 4 * 0.9), "x1")
    assert first.path == str(root / "images/SUPIR/x1_SUPIRx4.png")
    assert items["x2_Original"].path == str(root / "images/Original/x2_Original.png")


def test_folders_may_bear_the_factor_as_the_authors_code_reads_them(root: Path) -> None:
    (root / "images/SwinIR").rename(root / "images/SwinIRx4")
    items = {item.id: item for item in load_benchmark("srbench_images", [f"benchmark.root={root}"]).items("all")}
    assert items["x1_SwinIRx4"].path == str(root / "images/SwinIRx4/x1_SwinIRx4.png")


def test_all_pairs_in_both_orders_with_the_choice_of_the_scores(root: Path) -> None:
    found = targets(pairs_at(root).examples("all"))
    assert len(found) == 2 * 2 * 10
    assert Counter(target.kind for target in found.values()) == {"regression": 12, "generation": 12, None: 16}
    straight = found["x1_SUPIRx4 vs x1_Original"]
    assert straight == Preference(choice="Image A", pair="x1_SUPIRx4 vs x1_Original", kind="generation")
    assert found["x1_Original vs x1_SUPIRx4"].choice == "Image B"
    assert found["x2_RealESRNetx4 vs x2_SUPIRx4"].choice == "Similar"  # 50 and 50
    similar = [name for name, target in found.items() if target.choice == "Similar"]
    assert sorted(similar) == ["x2_RealESRNetx4 vs x2_SUPIRx4", "x2_SUPIRx4 vs x2_RealESRNetx4"]


def test_a_band_makes_more_of_them_similar(root: Path) -> None:
    found = targets(pairs_at(root, "benchmark.band=0.4").examples("all"))  # 10 points of 100
    similar = {target.pair for target in found.values() if target.choice == "Similar"}
    expected = {
        frozenset((name_of(photograph, first), name_of(photograph, second)))
        for photograph, scores in SCORES.items()
        for first, second in combinations(scores, 2)
        if abs(scores[first] - scores[second]) <= 10
    }
    assert {frozenset(str(pair).split(" vs ")) for pair in similar} == expected


def test_one_order_of_each_pair_follows_from_the_seed(root: Path) -> None:
    drawn = targets(pairs_at(root, "benchmark.orders=drawn").examples("all"))
    again = targets(pairs_at(root, "benchmark.orders=drawn").examples("all"))
    other = targets(pairs_at(root, "benchmark.orders=drawn", "benchmark.seed=1").examples("all"))
    assert list(drawn) == list(again) != list(other)
    assert len(drawn) == 20
    assert {target.swapped for target in drawn.values()} == {False, True}


def test_images_are_loaded_in_the_order_shown(root: Path) -> None:
    dataset = pairs_at(root).images("all", max_pixels=None, upright=True, size=3)
    assert len(dataset) == 6
    straight, swapped = dataset[0], dataset[1]
    assert [image.key for image in straight.images] == [image.key for image in swapped.images][::-1]


@pytest.mark.parametrize(("reference", "size"), [("original", (64, 56)), ("low_resolution", (32, 28))])
def test_a_reference_is_shown_first(root: Path, reference: str, size: tuple[int, int]) -> None:
    sample = pairs_at(root, f"benchmark.reference={reference}").images("all", max_pixels=None, upright=True, size=1)[0]
    assert len(sample.images) == 3
    assert sample.images[0].image.size == size


def label_all(root: Path, person: str, prefer: dict[str, float]) -> None:
    """A person who prefers by a number for each method and sees no difference in equal ones."""
    for first, second in combinations(prefer, 2):
        for photograph in SCORES:
            gap = prefer[first] - prefer[second]
            labels = (
                ("Similar", "Similar")
                if gap == 0
                else ("Positive", "Negative")
                if gap > 0
                else ("Negative", "Positive")
            )
            write_label(
                root,
                person,
                (name_of(photograph, first), labels[0]),
                (name_of(photograph, second), labels[1]),
                photograph=photograph,
            )


def test_votes_are_what_most_people_said(root: Path) -> None:
    label_all(root, "A", {"Original": 5, "SwinIR": 1, "RealESRNet": 1, "SUPIR": 4, "HGGT": 2})
    label_all(root, "B", {"HGGT": 2, "SUPIR": 4, "RealESRNet": 3, "SwinIR": 2, "Original": 1})  # in the other order
    label_all(root, "C", {"Original": 5, "SwinIR": 1, "RealESRNet": 2, "SUPIR": 4, "HGGT": 4})
    found = targets(pairs_at(root, "benchmark.truth=votes").examples("all"))

    def choice(first: str, second: str) -> str:
        name = f"x1_{first} vs x1_{second}"
        return found[name].choice

    assert choice("Original", "SUPIRx4") == "Image A"  # two of three
    assert choice("SUPIRx4", "Original") == "Image B"
    assert choice("SUPIRx4", "HGGTx4") == "Image A"  # better, better, similar
    assert choice("SwinIRx4", "RealESRNetx4") == "Image B"  # similar, worse, worse
    assert choice("SwinIRx4", "HGGTx4") == "Image B"  # worse, similar, worse
    write_label(root, "D", ("x1_SUPIRx4", "Negative"), ("x1_HGGTx4", "Positive"), photograph="x1")
    write_label(root, "E", ("x1_SUPIRx4", "Similar"), ("x1_HGGTx4", "Positive"), photograph="x1")  # worse, too
    tied = targets(pairs_at(root, "benchmark.truth=votes").examples("all"))
    assert tied["x1_SUPIRx4 vs x1_HGGTx4"].choice == "Similar"  # two for each, one similar


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (("x1_SwinIRx4", "Best"), ("x1_SUPIRx4", "Negative"), "Picture_01.Label is 'Best'; one of Positive, Similar"),
        (("x1_MadeUpx4", "Positive"), ("x1_SUPIRx4", "Negative"), "Picture_01.Name is 'x1_MadeUpx4.png', which has no"),
        (("x1_SUPIRx4", "Positive"), ("x2_SUPIRx4", "Negative"), "x1_SUPIRx4 and x2_SUPIRx4 are no two images of x1"),
        (("x1_SUPIRx4", "Similar"), ("x1_SUPIRx4", "Similar"), "are no two images of x1"),
    ],
)
def test_labels_that_cannot_be_used_are_listed(
    root: Path, first: tuple[str, str], second: tuple[str, str], said: str
) -> None:
    label_all(root, "A", {"Original": 5, "SwinIR": 1, "RealESRNet": 1, "SUPIR": 4, "HGGT": 2})
    write_label(root, "B", first, second, photograph="x1")
    with pytest.raises(DataError, match=f"1 of 21 label files .* cannot be used(.|\n)*{said}"):
        pairs_at(root, "benchmark.truth=votes").examples("all")
    report = inspect(pairs_at(root, "benchmark.truth=votes"), lambda: None)
    assert not report.sound


def test_label_files_that_are_damaged_or_incomplete(root: Path) -> None:
    with pytest.raises(DataError, match=r"holds no PERSON/PHOTOGRAPH/PAIR\.json; unpack the labels"):
        pairs_at(root, "benchmark.truth=votes").examples("all")
    write_label(root, "A", ("x1_SwinIRx4", "Positive"), ("x1_SUPIRx4", "Negative"), photograph="x1")
    with pytest.raises(DataError, match="19 of 20 pairs have no label; use truth=mos"):
        pairs_at(root, "benchmark.truth=votes").examples("all")
    (root / "labels/A/x1/broken.json").write_text("{")
    (root / "labels/A/x1/half.json").write_text('{"Picture_01": {"Name": "x1_SUPIRx4.png", "Label": "Similar"}}')
    with pytest.raises(DataError, match=r"broken\.json: no JSON(.|\n)*half\.json: there is no Picture_02"):
        pairs_at(root, "benchmark.truth=votes").examples("all")


def test_missing_images_and_folders_say_what_to_do(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (root / "images/SUPIR/x2_SUPIRx4.png").unlink()
    with pytest.raises(DataError, match=r"1 of 10 images of split 'all' are missing(.|\n)*x2_SUPIRx4\.png"):
        pairs_at(root).examples("all")
    (root / "LRImages/x1_Original.png").unlink()
    (root / "images/SUPIR/x2_SUPIRx4.png").write_bytes((root / "images/SUPIR/x1_SUPIRx4.png").read_bytes())
    with pytest.raises(DataError, match="20 images are missing under"):
        pairs_at(root, "benchmark.reference=low_resolution").examples("all")
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(DataError, match=r"no labels at .*MOS; give the set's folder with benchmark\.root=FOLDER"):
        pairs_at(empty).examples("all")
    (empty / "MOS").mkdir()
    with pytest.raises(DataError, match=r"holds no \.txt file"):
        pairs_at(empty).examples("all")


def test_score_lines_that_name_something_else(root: Path) -> None:
    (root / "MOS/x1.txt").write_text("x2_SUPIRx4.png,50\nx1.png,40\nx1_SwinIRx4.png,best\nx1_HGGTx4.png 30\n")
    with pytest.raises(DataError, match=r"x1\.txt:1(.|\n)*x1_METHODx4(.|\n)*x1\.txt:2(.|\n)*x1\.txt:3") as error:
        pairs_at(root).examples("all")
    assert "x1.txt:4" not in str(error.value)  # a blank divides, too, as the authors read it


def test_check_finds_what_the_groups_own_scores_contradict(root: Path) -> None:
    report = inspect(pairs_at(root), lambda: None)
    assert report.sound
    (kinds,) = [finding.rows for finding in report.findings if finding.title == "kinds of pairs"]
    assert kinds == ("across: 8", "generation: 6", "regression: 6", "similar: 1")
    write_scores(root, "MOS_Reg", "x1", {"Original": 80, "SwinIR": 10, "RealESRNet": 20})
    write_scores(root, "MOS_Reg", "x2", {"Original": 80, "SwinIR": 10})
    findings = {finding.title: finding.rows for finding in inspect(pairs_at(root), lambda: None).findings}
    assert findings["pairs that MOS_Reg or MOS_Gen order otherwise or lack"] == (
        "MOS_Reg puts x1_SwinIRx4 at 10, x1_RealESRNetx4 at 20",
        "MOS_Reg lacks x2_Original or x2_RealESRNetx4",
        "MOS_Reg lacks x2_RealESRNetx4 or x2_SwinIRx4",
    )


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("SwinIR", "RealESRNet", "regression"),
        ("Original", "SwinIR", "regression"),
        ("Original", "SUPIR", "generation"),
        ("RealESRGAN", "SUPIR", "generation"),
        ("SwinIR", "RealESRGAN", None),
    ],
)
def test_kinds_of_pairs(first: str, second: str, kind: str | None) -> None:
    assert kind_of(first, second) == kind_of(second, first) == kind


def test_published_shares_are_of_pairs_with_the_original() -> None:
    """3 pairs of 100 photographs and 36: 78.67, 85.67 and 77.78 % are whole numbers of them, and of none without it."""
    for share, pairs, without in ((78.67, 300, 100), (85.67, 300, 100), (77.78, 3600, 2800)):
        assert any(round(100 * right / pairs, 2) == share for right in range(pairs + 1))
        assert not any(round(100 * right / without, 2) == share for right in range(without + 1))


def test_names() -> None:
    assert method_of("x12_RealESRNetx4") == ("x12", "RealESRNet")
    assert method_of("x1_Original") == ("x1", "Original")
    with pytest.raises(DataError, match="PHOTOGRAPH_METHODx4 is one"):
        method_of("x1")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("truth=people", "truth=people"),
        ("reference=best", "reference=best"),
        ("orders=some", "orders=some"),
        ("band=-1", "band"),
    ],
)
def test_values_there_are_not(root: Path, override: str, said: str) -> None:
    with pytest.raises((ConfigError, InstantiationException), match=said):
        pairs_at(root, f"benchmark.{override}")


def test_mirrored_choices_are_each_others() -> None:
    assert all(MIRRORED[MIRRORED[choice]] == choice for choice in MIRRORED)

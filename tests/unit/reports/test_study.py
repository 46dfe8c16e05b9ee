"""Arms of a study: figures over seeds, and paired differences whose intervals draw photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from support.made_run_folder import UNREADABLE, Rating, answer, run_folder
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.judgements import RatingDistribution
from zoom_iqa.base.records import Record
from zoom_iqa.metrics.intervals import Interval
from zoom_iqa.reports.study import (
    Difference,
    StudyRun,
    arm_rows,
    difference,
    effect_header,
    effect_rows,
    figure_of,
    header,
    interval_over_seeds,
    keep,
    over_seeds,
    read_study,
    readme_table,
    said,
    said_over_seeds,
    stages_of,
    write_runs,
)
from zoom_iqa.reports.study_answers import Answers, write_answers
from zoom_iqa.reports.study_statistics import mean_srcc, single_srcc, squared_bias, variance_within

MOS = np.linspace(1.2, 4.8, 24)
PHOTOGRAPHS = [f"p{number // 4}" for number in range(24)]


def records(ratings_Kn: Sequence[Sequence[Rating]], expected_n: Sequence[float]) -> list[Record]:
    """K answers to 24 images of six photographs."""
    made = []
    for index, row in enumerate(ratings_Kn):
        for number, rating in enumerate(row):
            one = answer(f"i{number}", float(MOS[number]), rating, index=index)
            example = replace(one.example, reference_id=PHOTOGRAPHS[number])
            made.append(
                replace(
                    one, example=example, expected=RatingDistribution(mean=float(expected_n[number]), std=0.1, mass=1.0)
                )
            )
    return made


class UnreadRun(StudyRun):
    """A run whose answers may not be asked for."""

    answers = property(lambda self: pytest.fail("the answers were read"))  # type: ignore[assignment]


def noisy(spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    expected = np.clip(MOS + spread * rng.standard_normal(24), 1, 5)
    return np.clip(expected + spread * rng.standard_normal((3, 24)), 1, 5), expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of two seeds each, of which one is better, an arm with an unreadable answer; a run that has not ended,
    and another file.
    """
    tmp_path = tmp_path_factory.mktemp("study")
    for arm, spread in (("sft", 1.5), ("grpo", 0.4)):
        for seed in (0, 1):
            ratings, expected = noisy(spread, 10 * seed + len(arm))
            path = run_folder(tmp_path / f"{arm}_seed{seed}", {arm: records(ratings.tolist(), expected.tolist())})
            (path / "checkpoints").mkdir()
            (path / "policy").mkdir()
    ratings, expected = noisy(0.4, 4)
    rows: list[list[Rating]] = ratings.tolist()
    rows[1][5] = UNREADABLE
    run_folder(tmp_path / "holed_seed0", {"grpo": records(rows, expected.tolist())})
    unfinished = run_folder(tmp_path / "other_seed0", {"grpo": records(*map(np.ndarray.tolist, noisy(1, 3)))})
    (unfinished / "checkpoints").mkdir()
    (tmp_path / "results.csv").write_text("")
    return tmp_path


def test_the_stages_of_a_run_are_arms(tmp_path: Path) -> None:
    stages = {
        "sft": records(*map(np.ndarray.tolist, noisy(1.5, 1))),
        "grpo": records(*map(np.ndarray.tolist, noisy(0.4, 2))),
    }
    run_folder(tmp_path / "quickstart_seed3", stages)
    arms = stages_of(read_study(tmp_path), "quickstart")
    assert {stage: list(runs) for stage, runs in arms.items()} == {"sft": [3], "grpo": [3]}
    for stage, judged in stages.items():
        run = arms[stage][3]
        assert run.answers.values["rating"][0].tolist() == [record.rating for record in judged[:24]]
        assert figure_of(run, "srcc_single") == pytest.approx(single_srcc(*_matrices(judged)), abs=1e-6)


def _matrices(made: list[Record]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([one.rating for one in made], dtype=float).reshape(3, 24), MOS


def test_finished_runs_are_read_by_arm_and_seed(folder: Path) -> None:
    arms = read_study(folder)
    assert {arm: sorted(runs) for arm, runs in arms.items()} == {"grpo": [0, 1], "holed": [0], "sft": [0, 1]}
    assert arms["sft"][0].answers.ids == tuple(f"i{number}" for number in range(24))
    assert arms["sft"][0].answers.photographs == tuple(PHOTOGRAPHS)


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run named ARM_seedN has ended"):
        read_study(tmp_path)


def test_a_study_goes_on_where_its_folders_are_gone(folder: Path, tmp_path: Path) -> None:
    """Kept answers give the same figures, rows and intervals; a run that is there counts before what was kept of it."""
    arms = read_study(folder)
    keep(arms, tmp_path / "answers")
    again = read_study(tmp_path, kept=tmp_path / "answers")
    assert {arm: list(runs) for arm, runs in again.items()} == {arm: list(runs) for arm, runs in arms.items()}
    for figure in ("srcc_single", "srcc_expected", "rating_variance"):
        for pair in (("grpo", "sft"), ("holed", "sft")):
            old, new = (difference(found, *pair, figure, n_resamples=50) for found in (arms, again))
            assert isinstance(old, Difference)
            assert isinstance(new, Difference)
            assert new.value == pytest.approx(old.value, abs=1e-3)
            assert new.interval.low == pytest.approx(old.interval.low, abs=1e-3)
    assert arm_rows(again, "sft", (), n_resamples=50) == arm_rows(arms, "sft", (), n_resamples=50)

    before = {path.name: path.read_bytes() for path in (tmp_path / "answers").iterdir()}
    keep(again, tmp_path / "answers")  # what is kept alone is not written again
    keep({"grpo": {0: UnreadRun(path=folder / "grpo_seed0", figures=arms["grpo"][0].figures)}}, tmp_path / "answers")
    assert {path.name: path.read_bytes() for path in (tmp_path / "answers").iterdir()} == before

    run_folder(tmp_path / "grpo_seed0", {"grpo": records(*map(np.ndarray.tolist, noisy(2, 9)))})
    both = read_study(tmp_path, kept=tmp_path / "answers")
    assert (both["grpo"][0].path, both["grpo"][1].path.suffix) == (tmp_path / "grpo_seed0", ".gz")


def test_a_part_that_is_run_again_replaces_its_own_rows_alone(folder: Path, tmp_path: Path) -> None:
    path, arms = tmp_path / "results.csv", read_study(folder)
    path.write_text("arm,seed,srcc_single,n\ngrpo,1,0.1000,24\ngrpo,9,0.2500,24\n")
    write_runs({"grpo": {1: arms["grpo"][1]}}, path, ["srcc_single"])
    single = figure_of(arms["grpo"][1], "srcc_single")
    assert path.read_text() == f"arm,seed,srcc_single,n\ngrpo,1,{single:.4f},24\ngrpo,9,0.2500,24\n"
    write_runs({"grpo": {1: arms["grpo"][1]}}, path, ["srcc_expected"])  # other columns: another table
    assert path.read_text().splitlines()[0] == "arm,seed,srcc_expected,n"
    assert len(path.read_text().splitlines()) == 2


def test_damaged_answers_say_what_to_do(folder: Path, tmp_path: Path) -> None:
    keep(read_study(folder), tmp_path)
    path = tmp_path / "grpo_seed1.json.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"grpo_seed1\.json\.gz: damaged .*; restore it"):
        read_study(folder, kept=tmp_path)


def test_tokens_of_all_turns_are_kept(tmp_path: Path) -> None:
    judged = records(*map(np.ndarray.tolist, noisy(1, 2)))
    run_folder(tmp_path / "sft_seed0", {"sft": judged})
    tokens = read_study(tmp_path)["sft"][0].answers.values["tokens"]
    assert tokens.shape == (3, 24)
    assert tokens[0, 5] == sum(step.tokens for step in judged[5].steps)


def test_figures_of_a_matrix() -> None:
    """Two answers to three images: ranks of the first are those of the truth, of the second reversed."""
    ratings, mos = np.array([[1.0, 2.0, 3.0], [3.0, 2.5, 2.0]]), np.array([1.0, 3.0, 4.0])
    assert single_srcc(ratings, mos) == pytest.approx(0.0)
    assert mean_srcc(ratings, mos) == pytest.approx(stats.spearmanr([2.0, 2.25, 2.5], mos).statistic)
    assert variance_within(ratings, mos) == pytest.approx((2.0 + 0.125 + 0.5) / 3)
    assert squared_bias(ratings, mos) == pytest.approx((1.0 - 1.0 + 0.75**2 - 0.0625 + 1.5**2 - 0.25) / 3)


def test_a_difference_is_the_mean_over_seeds_of_the_figures_difference(folder: Path) -> None:
    arms = read_study(folder)
    found = difference(arms, "grpo", "sft", "srcc_expected", n_resamples=200)
    assert isinstance(found, Difference)
    by_hand = [
        stats.spearmanr(noisy(0.4, 10 * seed + 4)[1], MOS).statistic
        - stats.spearmanr(noisy(1.5, 10 * seed + 3)[1], MOS).statistic
        for seed in (0, 1)
    ]
    assert found.value == pytest.approx(np.mean(by_hand), abs=1e-6)
    assert (found.seeds, found.images, found.interval.units) == (2, 24, 6)
    assert found.interval.low < found.value < found.interval.high
    assert found.sign == "+"
    assert found.by_seed == pytest.approx(by_hand, abs=1e-6)
    # of two seeds the mean's standard error is half their distance; t of one degree of freedom is 12.706 at 97.5 %
    half = 12.7062 * abs(by_hand[0] - by_hand[1]) / 2
    assert found.over_seeds == pytest.approx((found.value - half, found.value + half), abs=1e-4)
    assert said_over_seeds(found) == f"[{found.value - half:+.3f}, {found.value + half:+.3f}]"
    swapped = difference(arms, "sft", "grpo", "srcc_expected", n_resamples=200)
    assert isinstance(swapped, Difference)
    assert (swapped.value, swapped.sign) == (pytest.approx(-found.value), "-")


@pytest.mark.parametrize(("low", "high", "sign"), [(0.1, 0.2, "+"), (-0.2, -0.1, "-"), (-0.1, 0.2, "0")])
def test_a_sign_is_that_of_the_whole_interval(low: float, high: float, sign: str) -> None:
    interval = Interval(low=low, high=high, level=0.95, n_resamples=9, units=4)
    assert Difference(by_seed=[0.05], interval=interval, images=4).sign == sign


def test_a_difference_is_of_the_images_that_both_arms_answered(tmp_path: Path) -> None:
    """Without b, which the baseline lacks, the arm has the order of the scores and the baseline the reverse."""
    mos = dict(zip("abcde", (3.0, 5.0, 1.0, 4.0, 2.0), strict=True))
    arms = {}
    for arm, ratings in {
        "arm": {"a": 3.0, "b": 1.0, "c": 1.0, "d": 4.0, "e": 2.0},
        "base": {"e": 3.0, "d": 1.0, "c": 4.0, "a": 2.0},
    }.items():
        answers = Answers(
            ids=tuple(ratings),
            photographs=tuple(ratings),
            mos_n=np.array([mos[name] for name in ratings]),
            values={"rating": np.array([list(ratings.values())])},
        )
        write_answers(tmp_path / f"{arm}.json.gz", answers, {})
        arms[arm] = {0: StudyRun(path=tmp_path / f"{arm}.json.gz", figures={})}
    found = difference(arms, "arm", "base", "srcc_single", n_resamples=0)
    assert isinstance(found, Difference)
    assert (found.value, found.images) == (pytest.approx(2.0), 4)


def test_without_resamples_a_difference_has_no_interval(folder: Path) -> None:
    arms = read_study(folder)
    found = difference(arms, "grpo", "sft", "srcc_expected", n_resamples=0)
    assert isinstance(found, Difference)
    assert (found.interval, found.sign) == (None, "")
    assert said(found) == f"{found.value:+.3f}"


def test_an_arm_does_not_differ_from_itself(folder: Path) -> None:
    found = difference(read_study(folder), "sft", "sft", "rating_variance", n_resamples=50)
    assert isinstance(found, Difference)
    assert (found.value, found.interval.low, found.interval.high, found.sign) == (0, 0, 0, "0")


def test_an_unreadable_answer_is_left_out_alone(folder: Path) -> None:
    """So that a difference is that of the two figures: the other answers to the image count, in both arms."""
    arms = read_study(folder)
    (holed, _), (whole, _) = noisy(0.4, 4), noisy(1.5, 3)
    kept = [number for number in range(24) if number != 5]
    rounds = [[*range(24)], kept, [*range(24)]]
    answers = [
        [row[number] for row, known in zip(holed, rounds, strict=True) if number in known] for number in range(24)
    ]
    single = [
        np.mean([stats.spearmanr(row[known], MOS[known]).statistic for row, known in zip(holed, rounds, strict=True)]),
        np.mean([stats.spearmanr(row, MOS).statistic for row in whole]),
    ]
    within = [np.mean([np.var(own, ddof=1) for own in answers]), whole.var(0, ddof=1).mean()]
    for figure, (new, old) in (("srcc_single", single), ("rating_variance", within)):
        found = difference(arms, "holed", "sft", figure, n_resamples=50)
        assert isinstance(found, Difference)
        assert found.value == pytest.approx(new - old, abs=1e-6)
        of_runs = [figure_of(arms[arm][0], figure) for arm in ("holed", "sft")]
        assert found.value == pytest.approx(of_runs[0] - of_runs[1], abs=1e-6)
        assert (found.seeds, found.over_seeds, said_over_seeds(found), found.images) == (1, None, "", 24)


def test_figures_of_a_matrix_with_holes() -> None:
    """Means are of the answers there are, 1, 4.25 and 3 with ranks 1, 3 and 2; the second image alone has two."""
    hole = np.nan
    ratings, mos = np.array([[1.0, hole, 3.0], [hole, 4.0, hole], [hole, 4.5, hole]]), np.array([1.0, 2.0, 3.0])
    assert mean_srcc(ratings, mos) == pytest.approx(0.5)
    assert np.isnan(single_srcc(ratings, mos))  # no round has three answers
    assert variance_within(ratings, mos) == pytest.approx(0.125)
    assert squared_bias(ratings, mos) == pytest.approx(2.25**2 - 0.0625)
    assert np.isnan(variance_within(ratings[:1], mos))
    assert np.isnan(squared_bias(ratings[:1], mos))


def test_a_figure_that_a_run_lacks_has_no_difference(folder: Path) -> None:
    assert (
        difference(read_study(folder), "grpo", "sft", "srcc_caption", n_resamples=50)
        == "srcc_caption of grpo or sft is undefined in one of the runs"
    )


def test_arms_without_a_seed_in_common_have_no_difference(folder: Path) -> None:
    assert (
        difference(read_study(folder), "grpo", "none", "srcc_single", n_resamples=50)
        == "grpo and none share no finished seed"
    )
    assert said("no reason") == ""


def test_the_ratio_of_unique_scores_is_that_to_the_truths(folder: Path) -> None:
    """24 opinion scores, all different: the ratio is the share of distinct first ratings."""
    run = read_study(folder)["sft"][0]
    distinct = len({round(rating, 2) for rating in noisy(1.5, 3)[0][0]})
    assert figure_of(run, "unique_to_truth") == pytest.approx(distinct / 24)


def test_a_table_has_a_row_an_arm_in_the_order_that_was_asked_for(folder: Path) -> None:
    arms = read_study(folder)
    rows = arm_rows(arms, "sft", ("sft", "absent", "sft"), n_resamples=50)
    assert [row[:2] for row in rows] == [["sft", "2"], ["grpo", "2"], ["holed", "1"]]
    assert all(len(row) == len(header("sft")) for row in rows)
    assert rows[0][-2:] == ["", ""]
    assert rows[1][-1].startswith("+0.")
    singles = [figure_of(run, "srcc_single") for run in arms["grpo"].values()]
    assert rows[1][2] == over_seeds(arms["grpo"].values(), "srcc_single")
    assert rows[1][2].startswith(f"{np.mean(singles):.3f} ± {np.std(singles, ddof=1):.3f}")
    assert readme_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_an_effect_has_both_intervals_beside_each_other(folder: Path) -> None:
    arms = read_study(folder)
    effects = (("GRPO", "grpo", "sft"), ("another's", "absent", "sft"))
    found = [difference(arms, "grpo", "sft", figure, n_resamples=50) for figure in ("srcc_single", "srcc_expected")]
    rows = effect_rows(arms, effects, n_resamples=50, figures=("srcc_single", "srcc_expected"))
    assert rows == [["GRPO", said(found[0]), said_over_seeds(found[0]), said(found[1]), said_over_seeds(found[1])]]
    head = ["effect", "srcc_single", "srcc_single, over seeds", "srcc_expected", "srcc_expected, over seeds"]
    assert effect_header(("srcc_single", "srcc_expected")) == head


def test_an_interval_over_seeds_is_students() -> None:
    """Of 1, 2 and 3 the standard error is 1 / sqrt(3), and t of two degrees at 97.5 % is 4.3027."""
    low, high = interval_over_seeds([1.0, 2.0, 3.0]) or (0.0, 0.0)
    assert (low, high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert interval_over_seeds([1.0]) is None


def test_ratings_from_words_are_compared_where_they_were_asked_for(tmp_path: Path) -> None:
    for arm, spread in (("accuracy", 1.5), ("human", 0.2)):
        ratings, expected = noisy(spread, len(arm))
        asked = [
            replace(one, probes={"caption": (answer(one.example.id, one.example.mos, float(said)),)})
            for one, said in zip(records(ratings.tolist(), expected.tolist()), [*expected] * 3, strict=True)
        ]
        run_folder(tmp_path / f"{arm}_seed0" / "judged", {"embedded": asked})
    arms = read_study(tmp_path, within="judged")
    found = difference(arms, "human", "accuracy", "srcc_caption", n_resamples=50)
    assert isinstance(found, Difference)
    ours, theirs = (mean_srcc(noisy(spread, seed)[1][None], MOS) for spread, seed in ((0.2, 5), (1.5, 8)))
    assert found.value == pytest.approx(ours - theirs)


def test_a_figure_that_some_seeds_lack_says_how_many_have_it(tmp_path: Path) -> None:
    runs = [StudyRun(path=tmp_path, figures=figures) for figures in ({"x": 0.5}, {"x": "undefined (none)"}, {"x": 0.7})]
    assert over_seeds(runs, "x") == "0.600 ± 0.141 (2 of 3)"
    assert over_seeds(runs, "y") == ""
    assert over_seeds(runs[:1], "x") == "0.500"

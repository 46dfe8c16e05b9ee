"""Runs on one page: their differences on the images both have rated, the images they disagree on, and mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.browser import covered_titles, opened
from support.made_run_folder import UNREADABLE, answer, evaluation_folder, run_folder
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.records import Record
from zoom_iqa.config import run_report
from zoom_iqa.report import report
from zoom_iqa.reports.compare_page import compared, comparison_page, disagreed

OWN_SCALE = "undefined (scores are on the method's own scale)"
ROWS = [{"step": n, "reward/total": 1.0 + n, "lr": float("nan") if n == 1 else 0.1} for n in range(3)]


def answers(*, wrong: int, off: float) -> list[Record]:
    """Twelve images in the right order, but for one."""
    return [answer(f"i{n}", 1.5 + n / 4, 1.5 + n / 4 + (off if n == wrong else 0)) for n in range(12)]


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    first = run_folder(
        tmp_path / "multirun" / "a<b>", {"grpo": answers(wrong=2, off=1.6)}, logs={"grpo": ROWS}, config={"seed": 1}
    )
    second = run_folder(
        tmp_path / "multirun" / "c", {"grpo": answers(wrong=9, off=-2.0)}, logs={"grpo": ROWS}, config={"seed": 2}
    )
    return [first, second]


def test_images_are_in_the_order_of_disagreement(runs: list[Path]) -> None:
    rows = disagreed(compared([("a", runs[0]), ("c", runs[1])]))
    assert [row["id"] for row in rows[:2]] == ["i9", "i2"]
    assert rows[0]["ratings"] == pytest.approx([3.75, 1.75])
    assert rows[1]["spread"] == pytest.approx(1.6)


def test_an_image_that_one_run_could_not_read_is_shown_where_others_could(tmp_path: Path) -> None:
    folders = [
        run_folder(tmp_path / name, {"grpo": [*answers(wrong=0, off=0.5), answer("x", 3.0, rating)]})
        for name, rating in (("a", UNREADABLE), ("b", 2.0), ("c", 4.0))
    ]
    rows = disagreed(compared([(folder.name, folder) for folder in folders]))
    assert (rows[0]["id"], rows[0]["ratings"]) == ("x", ["unreadable", 2.0, 4.0])


def test_a_method_with_a_scale_of_its_own_disagrees_with_nobody(runs: list[Path]) -> None:
    a, c, other = compared([("a", runs[0]), ("c", runs[1]), ("niqe", runs[0])])
    niqe = replace(other, judged=replace(other.judged, figures={**other.judged.figures, "rmse": OWN_SCALE}))
    assert not niqe.judged.on_mos_scale
    rows = disagreed([a, niqe, c])
    assert [row["id"] for row in rows[:2]] == ["i9", "i2"]
    assert rows[0]["ratings"] == [pytest.approx(3.75), "own scale", pytest.approx(1.75)]
    assert disagreed([a, niqe]) == []


def test_runs_must_have_names_and_a_data_set_of_their_own(runs: list[Path]) -> None:
    with pytest.raises(DataError, match=r"^x: runs share a name; give them different ones \(NAME=FOLDER\)"):
        compared([("x", runs[0]), ("x", runs[1])])


@pytest.mark.parametrize(("one", "other"), [("x={}", "y={}"), ("{}", "y={}")])
def test_runs_of_several_multiruns_keep_the_names_that_they_were_given(
    one: str, other: str, runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def written(named: list[tuple[str, Path]], page: Path) -> Path:
        shown.extend(name for name, _ in named)
        return page

    monkeypatch.setattr(run_report, "write_comparison", written)
    folder = runs[0].parent
    report(["compare", one.format(folder), other.format(folder), "--output", str(tmp_path / "x.html")])
    first = "x" if one.startswith("x=") else folder.name
    assert shown == [f"{first}/a<b>", f"{first}/c", "y/a<b>", "y/c"]


def test_a_folder_without_runs_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no run with figures; give the folders of runs, or that of a multirun"):
        report(["compare", str(tmp_path)])


def test_in_a_browser_a_multirun_is_all_its_runs(runs: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "compare.html"
    said = report(["compare", str(runs[0].parent), f"again={runs[0]}", "--output", str(path)])
    assert said.startswith(f"{path} (")
    with opened(path) as page:
        assert page.locator("h1").text_content() == "3 runs on made"
        names = page.locator("#figures > .scroll tbody th").all_text_contents()
        assert names == ["a<b>", "c", "again"]
        assert page.locator("#figures tr.best").count() == 2  # a<b> is again itself
        assert "c against a<b>: SRCC" in page.locator(".findings").text_content()
        assert page.locator("#scatters .js-plotly-plot").count() == 3
        assert page.locator("#training .js-plotly-plot").count() == 2  # reward and rate
        assert covered_titles(page) == []
        assert (
            page.locator("#training .js-plotly-plot").nth(1).locator(".points path").count() == 6
        )  # none is a line alone
        assert page.locator("#training .legendtext").first.text_content() == "a<b>"
        assert page.locator("#rows tbody tr").first.locator("th").text_content() == "i9"
        page.get_by_text("values in which their configs differ").click()
        assert page.locator("#figures details tbody th").all_text_contents() == ["seed"]


def test_other_images_of_the_same_number_are_said(tmp_path: Path) -> None:
    first, second = answers(wrong=0, off=0.5)[:8], answers(wrong=0, off=0.7)[4:]
    folders = [run_folder(tmp_path / name, {"grpo": made}) for name, made in (("a", first), ("b", second))]
    runs = compared([(folder.name, folder) for folder in folders])
    assert "judged on different images (8, 8, 4 of them by all)" in comparison_page(runs, [], {}, [])


def test_an_image_that_one_run_was_not_asked_about_is_no_unreadable_one(tmp_path: Path) -> None:
    folders = [
        run_folder(tmp_path / "a", {"grpo": answers(wrong=0, off=0.5)}),
        run_folder(tmp_path / "b", {"grpo": answers(wrong=0, off=1.5)}),
        run_folder(tmp_path / "c", {"grpo": answers(wrong=1, off=0.5)[1:]}),
    ]
    rows = {row["id"]: row["ratings"] for row in disagreed(compared([(folder.name, folder) for folder in folders]))}
    assert rows["i0"][2] == "not judged"
    assert all(isinstance(found[2], float) for name, found in rows.items() if name != "i0")


def test_runs_judged_by_other_labels_are_not_compared(tmp_path: Path) -> None:
    corrected = [answer("i0", 4.5, 2.0), *answers(wrong=0, off=0.5)[1:]]
    old = run_folder(tmp_path / "old", {"grpo": answers(wrong=0, off=0.5)})
    new = run_folder(tmp_path / "new", {"grpo": corrected})
    with pytest.raises(DataError, match=r"(?s)old .then. and new .now. were judged by other .*i0: .* 4\.5 now"):
        compared([("old", old), ("new", new)])


def test_different_numbers_of_images_are_said(tmp_path: Path) -> None:
    few = run_folder(tmp_path / "few", {"grpo": answers(wrong=0, off=0.5)[:6]})
    many = run_folder(tmp_path / "many", {"grpo": answers(wrong=0, off=0.5)})
    page = comparison_page(compared([("few", few), ("many", many)]), [], {}, [])
    assert "Runs were judged on different images (6, 12, 6 of them by all): figures in the table are of" in page
    assert "on 6 images" in page


def test_of_two_stages_the_last_is_compared(tmp_path: Path) -> None:
    stages = {"sft": answers(wrong=2, off=1.6), "grpo": answers(wrong=9, off=-2.0)}
    folders = [
        run_folder(tmp_path / "two", stages),
        run_folder(tmp_path / "one", {"sft": answers(wrong=2, off=1.6)}),
    ]
    two, one = compared([(folder.name, folder) for folder in folders])
    assert (two.judged.name, one.judged.name) == ("grpo", "sft")
    assert [(row["id"], row["ratings"]) for row in disagreed([two, one])[:2]] == [
        ("i9", [pytest.approx(1.75), pytest.approx(3.75)]),
        ("i2", [pytest.approx(2.0), pytest.approx(3.6)]),
    ]


def judged_on(path: Path, *datasets: str) -> tuple[str, Path]:
    """An evaluation of these data sets under its folder's name."""
    records = [answer(f"i{n}", 1.5 + n, 1.5 + n, dataset=dataset) for dataset in datasets for n in range(3)]
    return path.name, evaluation_folder(path, records)


def test_runs_are_compared_on_the_data_set_that_all_were_judged_on(tmp_path: Path) -> None:
    both, alone = judged_on(tmp_path / "both", "koniq", "livew"), judged_on(tmp_path / "alone", "koniq")
    for named in ([both, alone], [alone, both]):
        runs = compared(named)
        assert [run.judged.dataset for run in runs] == ["koniq", "koniq"]
        assert "All were judged on" not in comparison_page(runs, [], {}, [])


def test_runs_without_a_common_data_set_are_listed(tmp_path: Path) -> None:
    named = [judged_on(tmp_path / "a", "koniq", "livew"), judged_on(tmp_path / "b", "spaq")]
    with pytest.raises(DataError, match=r"no data set in common \(a on koniq, livew; b on spaq\); compare runs of one"):
        compared(named)


def test_a_second_common_data_set_is_named_in_a_note(tmp_path: Path) -> None:
    runs = compared([judged_on(tmp_path / "a", "koniq", "livew"), judged_on(tmp_path / "b", "livew", "koniq")])
    page = comparison_page(runs, [], {}, [])
    assert "2 runs on livew" in page
    assert "All were judged on koniq too, which `zoom-iqa report table1` shows." in page

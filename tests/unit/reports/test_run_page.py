"""A run's page: whole in one file, small, and texts of models stay texts; charts and cards in a real browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.browser import covered_titles, opened
from support.made_assessments import chain_answer
from support.made_run_folder import UNREADABLE, answer, evaluation_folder, on_own_scale, run_folder
from zoom_iqa.base.errors import DataError, OutputError
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Truth, rated_example
from zoom_iqa.report import report
from zoom_iqa.reports.answers import most_telling_first, visible
from zoom_iqa.reports.contents import read_contents
from zoom_iqa.reports.html import as_script_text, table_cell
from zoom_iqa.reports.pictures import pictures_within
from zoom_iqa.reports.run_page import PICTURE_CHARACTERS, page_of, wanted_pictures

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31mred\u202egnorw & <b>bold</b>"
BOX = (16, 8, 48, 40)
ROWS = [{"step": n, "reward/total": 2 + n / 10, "reward/<b>own</b>": 0.5, "lr": 0.001 * (n + 1)} for n in range(12)]


def noise(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def answers(count: int, *, shift: float = 0.0, text: str = "text") -> list[Record]:
    """Every third looks closer and comes nearer, every fifth looks and goes astray."""
    made = []
    for n in range(count):
        mos = 1 + 4 * n / count
        if n % 3 == 0:
            made.append(answer(f"i{n}", mos, mos + 0.9 + shift, mos + 0.3 + shift, box=BOX, text=text))
        elif n % 5 == 0:
            made.append(answer(f"i{n}", mos, mos + 0.1 + shift, mos + 1.2 + shift, box=BOX, text=text))
        else:
            made.append(answer(f"i{n}", mos, mos + 0.05 * (n % 4) + shift, text=text))
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with hostile texts, an unreadable answer, logs and kept rollouts."""
    last = [*answers(30), answer("broken<i>", 2.0, UNREADABLE, text=HOSTILE)]
    kept = [answer("r", 3.0, 2.9, training_step=0, rewards={"total": 1.25, "<u>own</u>": 0.5}, text=HOSTILE)]
    folder = tmp_path_factory.mktemp("pages") / "run"
    return run_folder(
        folder,
        {"sft": answers(30, shift=0.2), "grpo": last},
        logs={"grpo": ROWS},
        rollouts=kept,
        config={"name": "<h1>made"},
    )


def page_file(folder: Path, *, pictures: bool = True) -> Path:
    contents = read_contents(folder)
    loaders = {f"made:i{n}": (lambda seed=n: noise(seed)) for n in range(30)}  # type: ignore[misc]
    found = pictures_within(PICTURE_CHARACTERS, wanted_pictures(contents, loaders)) if pictures else {}
    rollouts = [answer("r", 3.0, 2.9, training_step=0, rewards={"total": 1.25, "<u>own</u>": 0.5}, text=HOSTILE)]
    path = folder / "page.html"
    path.write_text(page_of(contents, rollouts, found, ["made for a test"]), encoding="utf-8")
    return path


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def test_it_holds_what_was_judged_and_logged(made: Path) -> None:
    page = page_file(made).read_text(encoding="utf-8")
    data = data_of(page)
    assert [judged["name"] for judged in data["judged"]] == ["sft", "grpo"]
    grpo = {row["id"]: row for row in data["judged"][1]["answers"]}
    assert grpo["i3"]["steps"][0]["boxes"] == [list(BOX)]
    assert [step["rating"] for step in grpo["i3"]["steps"]] == pytest.approx([1.4 + 0.9, 1.4 + 0.3])
    assert grpo["i3"]["gain"] == pytest.approx(0.6)
    assert grpo["broken<i>"]["why"] == "malformed_json"
    assert set(data["pictures"]) == {f"made:i{n}" for n in range(30)}
    (stage,) = data["stages"]
    assert {series["name"] for chart in stage["charts"] for series in chart["series"]} == set(ROWS[0]) - {"step"}
    assert "made for a test" in page
    assert "command: python -m zoom_iqa.train &#x27;name=&lt;b&gt;&#x27;" in page


def test_figures_of_looks_and_evidence_have_rows_where_they_are_numbers(tmp_path: Path) -> None:
    """Evidence of two turns' chains that covers the known region, and answers about images without one."""
    region = (0.5, 0.5, 1.0, 1.0)
    truth = Truth(distortion="gaussian_blur", level=4.0, region=region)
    rated = [rated_example(id=f"i{n}", dataset="made", mos=3.0 + n) for n in range(2)]
    chains = [replace(chain_answer(bbox=region), example=replace(one, truth=truth)) for one in rated]
    known = page_file(run_folder(tmp_path / "known", {"grpo": chains})).read_text(encoding="utf-8")
    assert '<th scope="row">turns per trajectory</th><td>2.000</td>' in known
    assert '<th scope="row">evidence: share of the region covered</th><td>1.000</td>' in known
    assert '<th scope="row">evidence: defect named</th><td>1.000</td>' in known
    unknown = page_file(run_folder(tmp_path / "unknown", {"grpo": answers(6)})).read_text(encoding="utf-8")
    assert "turns per trajectory" in unknown
    assert ">evidence: " not in unknown


def test_nothing_in_it_is_fetched_and_no_text_is_markup(made: Path) -> None:
    page = page_file(made).read_text(encoding="utf-8")
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)=(?!["']?(?:data:|#))""", markup)
    assert "alert(1)</script>" not in page
    assert "<h1>made" not in page
    assert "\x1b" not in page


def test_hidden_characters_are_written_out() -> None:
    assert visible("a\x1b[31m\nb\u202ec\r") == "a\\x1b[31m\nb\\u202ec\\r"
    assert json.loads(as_script_text({"x": "</script>\u2028"})) == {"x": "</script>\u2028"}
    assert "</" not in as_script_text({"x": "</script>"})


def test_340_images_with_long_texts_stay_below_five_megabytes(tmp_path: Path) -> None:
    """Noise, which compresses worst, and three thousand characters a turn."""
    text = "An image quality summary of some length. " * 73
    folder = run_folder(tmp_path / "run", {"sft": answers(340, text=text), "grpo": answers(340, shift=0.1, text=text)})
    contents = read_contents(folder)
    loaders = {f"made:i{n}": (lambda seed=n: noise(seed, (256, 192))) for n in range(340)}  # type: ignore[misc]
    pictures = pictures_within(PICTURE_CHARACTERS, wanted_pictures(contents, loaders))
    page = page_of(contents, [], pictures, [])
    assert len(page.encode()) < 5_000_000
    assert len(pictures) > 200
    assert re.search(r"\d+ of 680 images have their text here", page)
    assert re.search(rf"{len(pictures)} of 340 images have a picture here", page)


def test_the_most_telling_come_first_and_each_once(made: Path) -> None:
    images = most_telling_first(read_contents(made).judged)
    names = [image.trajectories[0].example.id for image in images]
    assert set(names[:4]) == {"i5", "i10", "i20", "i25"}  # 1.2 off, and no others are farther
    assert sorted(names) == sorted({*names})
    assert len(names) == 31


def test_distance_tells_nothing_of_scores_on_a_scale_of_their_own(tmp_path: Path) -> None:
    records = [answer(f"i{n}", 1.0 + n, 1.0 + 2 * n) for n in range(3)]
    folder = run_folder(tmp_path / "run", {"sft": records})

    def names() -> list[str]:
        images = most_telling_first(read_contents(folder).judged)
        return [image.trajectories[0].example.id for image in images]

    assert names() == ["i2", "i1", "i0"]
    on_own_scale(folder)
    assert names() == ["i0", "i1", "i2"]


def test_an_evaluation_has_a_row_of_tiles_for_each_data_set(tmp_path: Path) -> None:
    """The order of koniq's ratings is the scores', that of livew's is the reverse."""
    koniq = [answer(f"k{n}", 2.0 + n, 2.0 + n, dataset="koniq") for n in range(3)]
    livew = [answer(f"l{n}", 2.0 + n, 4.0 - n, dataset="livew") for n in range(3)]
    page = page_of(read_contents(evaluation_folder(tmp_path / "run", [*koniq, *livew])), [], {}, [])
    rows = re.findall(r'<h3>(\w+)</h3><div class="tiles"><div><b>(-?\d\.\d+)</b>', page)
    assert rows == [("koniq", "1.000"), ("livew", "-1.000")]
    assert page.count('<div class="tiles">') == 2


def test_a_training_run_has_one_row_of_tiles_which_is_its_last_stage_s(tmp_path: Path) -> None:
    stages = {
        "sft": [answer(f"i{n}", 2.0 + n, 4.0 - n) for n in range(3)],
        "grpo": [answer(f"i{n}", 2.0 + n, 2.0 + n) for n in range(3)],
    }
    page = page_of(read_contents(run_folder(tmp_path / "run", stages)), [], {}, [])
    (first,) = re.findall(r'<div class="tiles"><div><b>(.*?)</b>.*?<small>(sft: .*?)</small>', page)
    assert first == ("1.000", "sft: -1.000")
    assert not re.findall(r"<h3>\w+</h3><div class=.tiles", page)


def test_a_measure_of_zero_is_shown_and_a_count_of_zero_is_not() -> None:
    figures = {"rouge": {"p": 0.5, "r": 0.0, "f1": 0.0}, "failures": {"a": 0}, "mixed": {"a": 0, "b": 2}}
    assert [table_cell(figures, key) for key in figures] == ["p 0.500, r 0.000, f1 0.000", "none", "b 2"]


def test_the_command_writes_it_into_the_folder(made: Path) -> None:
    said = report(["run", str(made)])
    assert re.fullmatch(rf"{re.escape(str(made / 'report.html'))} \(\d+\.\d MB\)\n", said)
    page = (made / "report.html").read_text(encoding="utf-8")
    assert "There are no pictures: its images cannot be found again" in page  # this config names no data set


def test_a_place_that_cannot_be_written_is_one_line(made: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"page.html cannot be written: there is no folder .*absent; make it or name"):
        report(["run", str(made), "--output", str(tmp_path / "absent" / "page.html")])
    with pytest.raises(OutputError, match=r"cannot be written: it is a folder; name a file"):
        report(["run", str(made), "--output", str(tmp_path)])


def test_a_folder_without_answers_says_what_is_missing(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", {"sft": answers(10)})
    (folder / "evaluation" / "sft" / "predictions.jsonl").unlink()
    with pytest.raises(DataError, match=r"predictions.jsonl is absent or empty"):
        report(["run", str(folder)])


def test_in_a_browser_charts_cards_and_filters_work(made: Path) -> None:
    with opened(page_file(made)) as page:
        assert page.locator("#scatter .scatterlayer .trace .point").count() >= 30
        page.get_by_role("button", name=re.compile("^sft")).click()
        assert "sft: SRCC" in page.locator("#scatter").text_content()
        page.get_by_role("button", name=re.compile("^grpo")).click()
        assert page.locator("#training .js-plotly-plot").count() == 2
        page.get_by_role("button", name="looking helped (10)").click()
        assert page.locator(".card").count() == 10
        card = page.locator(".card").first
        assert card.locator("rect.look").count() == 1
        assert card.locator(".crop").count() == 1
        assert card.locator("circle.rating").count() == 2
        page.get_by_role("button", name="all (31)").click()
        page.get_by_role("button", name="show more").click()
        assert page.locator(".card").count() == 31
        page.locator("#search").fill("broken")
        assert page.locator(".card").count() == 1


def test_in_a_browser_hover_shows_the_image_and_a_click_opens_its_answer(made: Path) -> None:
    with opened(page_file(made)) as page:
        point = page.locator("#scatter .scatterlayer .trace").nth(1).locator(".point").nth(4)
        point.scroll_into_view_if_needed()
        point.hover(force=True)
        tip = page.locator("#tip")
        tip.wait_for(state="visible")
        assert tip.locator("img").count() == 1
        name = tip.locator("b").text_content()
        point.click(force=True)
        card = page.locator(".card.marked")
        card.wait_for()
        assert card.locator("h4").text_content() == name


def test_in_a_browser_markup_and_escape_codes_show_as_text(made: Path) -> None:
    with opened(page_file(made)) as page:
        page.get_by_role("button", name="unreadable (1)").click()
        card = page.locator(".card")
        assert card.locator("h4").text_content() == "broken<i>"
        shown = card.locator("pre").text_content()
        assert shown.startswith("</script><script>alert(1)</script><img src=x onerror=alert(2)>\\x1b[31mred\\u202e")
        assert page.locator("main img[src='x'], main b b, main u").count() == 0
        assert "<u>own</u>" in page.locator("#rollouts th").all_text_contents()
        assert page.locator("#training .legendtext").all_text_contents()[:2] == ["reward/total", "reward/<b>own</b>"]


@pytest.mark.parametrize("width", [390, 900, 1280])
def test_buttons_of_charts_cover_no_title(made: Path, width: int) -> None:
    with opened(page_file(made, pictures=False), width=width) as page:
        assert page.locator(".js-plotly-plot").count() >= 4
        assert covered_titles(page) == []


def test_in_a_browser_a_chain_shows_its_looks_and_its_evidence(tmp_path: Path) -> None:
    chains = [
        replace(chain_answer(bbox=bbox), example=rated_example(id=f"i{n}", dataset="made", mos=3.0 + n))
        for n, bbox in enumerate([(0.25, 0.5, 1.0, 1.0), (0, 8, 32, 24), (9, 9, 9, 9)])
    ]
    folder = run_folder(tmp_path / "run", {"grpo": chains})
    with opened(page_file(folder)) as page:
        page.get_by_role("button", name="all (3)").click()
        cards = {card.locator("h4").text_content(): card for card in page.locator(".card").all()}
        boxes = {name: card.locator("rect.evidence") for name, card in cards.items()}
        assert [boxes[f"i{n}"].count() for n in range(3)] == [1, 1, 0]  # the third is empty
        edges = [[boxes[f"i{n}"].get_attribute(e) for e in ("x", "y", "width", "height")] for n in range(2)]
        assert edges == [["16", "24", "48", "24"], ["0", "8", "32", "16"]]  # of 64 x 48 pixels
        card = cards["i0"]
        assert card.locator("rect.look").count() == 1
        assert "rating a look → 2.00" in card.locator(".way").text_content()
        assert "evidence: clear blur" in card.text_content()
        assert card.locator("summary").first.text_content().startswith("turn 1, looks closer, 1 tokens")


def test_on_a_phone_nothing_is_wider_than_the_screen(made: Path) -> None:
    with opened(page_file(made, pictures=False), width=390) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_of_several_answers_their_mean_counts_and_each_unreadable_one_is_said(tmp_path: Path) -> None:
    """Image a has 2, unreadable and 3 after a look from 4: a mean of 2.5, shown by its first answer."""
    mine = [answer("a", 2.0, 2.0), answer("a", 2.0, UNREADABLE, index=1), answer("a", 2.0, 4.0, 3.0, box=BOX, index=2)]
    others = [answer(f"b{n}", 1.0 + n, 1.0 + n, index=k) for n in range(5) for k in range(3)]
    page = page_file(run_folder(tmp_path / "run", {"grpo": [*mine, *others]}), pictures=False)
    text = page.read_text(encoding="utf-8")
    row = next(row for row in data_of(text)["judged"][0]["answers"] if row["id"] == "a")
    assert (row["rating"], row["ratings"], row["unreadable"], row["trajectories"]) == (2.5, [2.0, 3.0], 1, 3)
    assert "Of several answers about an image the first is shown turn by turn; predictions.jsonl has all." in text
    with opened(page) as browser:
        browser.click("text=unreadable (1)")
        (card,) = browser.query_selector_all("article.card")
        assert "rating 2.50, the mean; first answer 2.00" in card.inner_text()
        assert "3 answers: 2.00, 3.00, 1 unreadable" in card.inner_text()


def test_in_a_browser_a_look_before_an_unreadable_answer_is_not_the_rating(tmp_path: Path) -> None:
    records = [answer("lost", 3.0, 2.0, UNREADABLE, box=BOX), *(answer(f"i{n}", 1.0 + n, 1.0 + n) for n in range(3))]
    with opened(page_file(run_folder(tmp_path / "run", {"sft": records}), pictures=False)) as page:
        page.get_by_role("button", name="all (4)").click()
        cards = {card.locator("h4").text_content(): card for card in page.locator(".card").all()}
        fills = {name: card.locator("circle.rating").get_attribute("fill") for name, card in cards.items()}
    assert fills["lost"] == "#fff"
    assert {fills[f"i{n}"] for n in range(3)}.isdisjoint({"#fff"})


def test_a_method_with_a_scale_of_its_own_stands_on_no_line_from_one_to_five(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", {"grpo": answers(30, shift=0.5)})
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["grpo"]["rmse"] = "undefined (scores are on the method's own scale)"
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with opened(page_file(folder, pictures=False)) as browser:
        assert browser.query_selector_all("article.card")
        assert not browser.query_selector_all("article.card svg.track")
        assert "worst errors (0)" in browser.inner_text("#filters")

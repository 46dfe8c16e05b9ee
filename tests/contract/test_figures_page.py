"""docs/figures.md lists the figures there are: those of a run with every penalty and filter, and names in the code."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.chat_server import ChatApi, chat_server, written
from support.made_rollouts import choice_record
from support.small_run import metrics_of, save_policy, small_run
from zoom_iqa.base.errors import FAILURE_REASONS
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import RecordCodec
from zoom_iqa.config.location import conf_dir
from zoom_iqa.curation.card import card_of
from zoom_iqa.curation.judge_figures import judge_figures
from zoom_iqa.curation.judging import Judgement
from zoom_iqa.curation.verification import VisualReliance
from zoom_iqa.evaluation.figures import answers_csv, figures_of
from zoom_iqa.tasks.grades import CRITERIA, GRADE_FAILURES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "zoom_iqa"
PAGE = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")


def choices(group: str) -> str:
    """All of a config group, as one choice."""
    return ",".join(sorted(path.stem for path in (conf_dir() / group).glob("*.yaml") if path.stem != "none"))


EVERYTHING = [
    f"penalties=[{choices('penalties')}]",
    "filters=clip_cov",
    "filters.clip_cov.low=-1000",  # so that some tokens are drawn
    "filters.clip_cov.high=1000",
    "grpo.module.update.mini_batches=2",  # one update a rollout leaves some penalties nothing to do
    "callbacks=validation",
    "callbacks.validation.every=2",
    "sft.steps=2",
    "grpo.steps=2",
    "evaluator.samples_per_image=2",
    "task=caption_reason",
    "probes=description",
    "probe.text=thought",  # the written texts have no captions
    "+probes.struck={_target_:zoom_iqa.rollout.description_probe.DescriptionProbe}",  # a view beside the first
    "+probes.struck.prompts=${described_prompts}",
    "+probes.struck.text=thought",
    "+probes.struck.strip=ratings",
    "data.references=synthetic",
    "reward=full",
    "+reward/terms@reward.human=human",
    "+reward/terms@reward.judge=judge",
    "judge=api",
    "judge.speaker.model=tiny",
]

LOOKING = [
    "stages=[grpo]",
    "grpo.steps=1",
    "task=chain",
    "reward=curriculum",
    f"filters=[{choices('filters')}]",
    "data.train.local_fraction=0.97",
    "data.train.scores=null",  # so many regions have none of some scores
    "data.train.procedural_fraction=1.0",
    "rollout._target_=support.written_engine.ChainEngine",
]

COMPARING = [
    "task=compare",
    "data=embedded_pairs",
    "reward=compare",
    "penalties=none",
    "data.train.images.size=400",
    "data.val.size=2",
    "callbacks=validation",
    "callbacks.validation.monitor=accuracy",
    "sft.steps=1",
    "grpo.steps=2",
    "rollout._target_=support.written_engine.ComparingEngine",
]


@dataclass(frozen=True)
class Row:
    """A figure's name, with ``<placeholders>``, and the files that make it."""

    name: str
    files: tuple[str, ...]

    def matches(self, figure: str) -> bool:
        pattern = re.sub(r"<[^>]+>", "[^/]+", re.escape(self.name))
        return re.fullmatch(pattern, figure) is not None

    @property
    def fixed_end(self) -> str | None:
        """The end of the name as code writes it; None for one that follows from a config."""
        end = self.name.rpartition("/")[2]
        return None if "<" in end else end


def rows_of(title: str) -> list[Row]:
    """The rows of all tables under a heading of the second level."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    code = re.compile(r"`([^`]+)`")
    return [Row(name, tuple(code.findall(row[-1]))) for row in cells for name in code.findall(row[0])]


def row_of(figure: str, rows: Sequence[Row]) -> Row | None:
    """The row of this very name, else the one whose placeholders it fills."""
    exact = [row for row in rows if row.name == figure]
    return next(iter([*exact, *(row for row in rows if row.matches(figure))]), None)


SECTIONS = ("Training log", "Evaluation", "Scores of an evaluation", "Records")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Figures of runs that use everything between them, by section."""
    folder = tmp_path_factory.mktemp("figures")
    run, comparing, looking = folder / "run", folder / "comparing", folder / "looking"
    tags = "".join(f"<{name}>5</{name}>" for name in CRITERIA)
    with chat_server(ChatApi(answer=written(tags))) as api:
        small_run(run, save_policy(folder), *EVERYTHING, f"judge.speaker.base_url={api.base_url}")
    small_run(comparing, save_policy(folder), *COMPARING)
    small_run(looking, save_policy(folder), *LOOKING)
    logged: set[str] = set()
    for log in (log for one in (run, comparing, looking) for log in one.glob("logs/*/metrics.csv")):
        with log.open(encoding="utf-8", newline="") as file:
            logged |= set(csv.DictReader(file).fieldnames or ())
    predictions = run / "predictions.jsonl"
    tables = [
        answers_csv(list(RecordFile(one / "predictions.jsonl", RecordCodec()).read())) for one in (run, comparing)
    ]
    of_kinds = figures_of([choice_record("Image A", "Image B", kind="regression")], None)
    runs = [*metrics_of(run).values(), *metrics_of(comparing).values(), of_kinds]
    return {
        "Training log": logged - {"step"},
        "Evaluation": {name for figures in runs for name in figures},
        "Scores of an evaluation": {name for table in tables for name in table.partition("\n")[0].split(",")},
        "Records": set(json.loads(predictions.read_text(encoding="utf-8").partition("\n")[0])),
    }


@pytest.mark.parametrize("title", SECTIONS)
def test_every_figure_has_a_row_and_every_row_a_figure(title: str, found: dict[str, set[str]]) -> None:
    rows = rows_of(title)
    of_figures = {figure: row_of(figure, rows) for figure in found[title]}
    assert not {figure for figure, row in of_figures.items() if row is None}
    assert not {row.name for row in rows if row not in of_figures.values()}


def test_cards_and_grades_have_their_rows() -> None:
    vrf = VisualReliance(refuse_when="any", rating=0.05, iou=0.5, entropy=0.01)
    card = card_of([], records={}, verifications=[], vrf=vrf, images=0, unanswered={}, cost={})
    assert {row.name for row in rows_of("Data cards")} == set(card)
    judged = Judgement(system="a", dataset="d", id="x", control=None, repeat=0, about="", text="", finish="stop")
    (figures,) = judge_figures([judged], n_resamples=1, seed=0).values()
    assert {row.name for row in rows_of("Grades of texts")} == {*figures, "without_text"}


@pytest.mark.parametrize("title", [*SECTIONS, "Data cards", "Grades of texts"])
def test_rows_name_the_file_that_makes_the_figure(title: str) -> None:
    for row in rows_of(title):
        assert row.files, row.name
        for name in row.files:
            text = (PACKAGE / name).read_text(encoding="utf-8")
            assert row.fixed_end is None or re.search(rf"\b{row.fixed_end}\b", text), (row.name, name)


def test_figures_that_a_run_may_leave_out_have_rows_too() -> None:
    """Any name in the code whose first part is that of a row."""
    rows = rows_of("Training log")
    firsts = "|".join({row.name.partition("/")[0] for row in rows if "/" in row.name})
    literal = re.compile(rf"""["']((?:{firsts})/\w+)["']""")
    named = {name for path in PACKAGE.rglob("*.py") for name in literal.findall(path.read_text(encoding="utf-8"))}
    assert "rollout/valid_rate" in named
    assert not {name for name in named if row_of(name, rows) is None}


def test_a_rate_has_one_name_in_training_validation_and_evaluation() -> None:
    evaluation = {row.name for row in rows_of("Evaluation")}
    training = {row.name for row in rows_of("Training log")}
    for rate in ("format_rate", "valid_rate", "crop_rate"):
        assert rate in evaluation
        assert {f"rollout/{rate}", f"val/<data set>/{rate}"} <= training


@pytest.mark.parametrize(("figure", "reasons"), [("rollout", FAILURE_REASONS), ("judge", GRADE_FAILURES)])
def test_reasons_for_a_missing_value_are_all_named(figure: str, reasons: tuple[str, ...]) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{figure}/failed_<reason>`")]
    named = re.findall(r"`(\w+)`", row.rpartition(": ")[2].partition(" |")[0])
    assert tuple(named) == reasons

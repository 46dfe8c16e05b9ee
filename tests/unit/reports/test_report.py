"""Tables of the paper: published and measured rows side by side, ablations over seeds, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.config.location import conf_dir
from zoom_iqa.report import report
from zoom_iqa.reports.ablation import EXPERIMENTS, parts_of, read_multirun
from zoom_iqa.reports.published import DATASETS, published_rows
from zoom_iqa.reports.rendering import TextTable, latex, markdown


def figures(srcc: float | str, **others: Any) -> dict[str, Any]:
    correlations = {"plcc": 0.5, "plcc_logistic4": 0.6, "plcc_isotonic": 0.7, "srcc": srcc}
    rates = {"unique_score_ratio": 0.25, "crop_rate": 0.5, "format_rate": 1.0}
    return {"n": 1200, "n_valid": 1200, **correlations, **rates, **others}


def write(folder: Path, config: object, metrics: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def evaluation(folder: Path, metrics: dict[str, Any], **config: Any) -> Path:
    return write(folder, {"policy": {"path": "p"}, "samples_per_image": 1, "limit": None, **config}, metrics)


def trained(folder: Path, name: str, seed: int, metrics: dict[str, Any], **config: Any) -> Path:
    """A training run with figures of choice."""
    stages = ["sft"] if name == "table3_sft" else ["sft", "grpo"]
    common = {"name": name, "stages": stages, "seed": seed, "policy": {"path": "p"}, "benchmark": {"name": "embedded"}}
    rewards = {"table3_rank": ["rank"], "table3_score": ["score"]}.get(name, ["score", "rank"])
    parts = {
        "reward": {term: {} for term in ["format", *rewards]},
        "penalties": {} if name in ("table3_sft", "table3_score_rank", "my_variant") else {"kl_coverage": {}},
        "resampling": {"exponents": [0.0, 0.5, 1.0] if name == "table3_progressive" else [0.0]},
    }
    return write(folder, {**common, **parts, **config}, metrics)


def resolved(seed: int, *overrides: str) -> dict[str, Any]:
    """The config of a run as it is kept."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        given = ["+experiment=table3_rank", "policy=tiny", "data=embedded", f"seed={seed}", "paths.run_dir=somewhere"]
        cfg = compose("train", overrides=[*given, *overrides])
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def rows(text: str) -> dict[str, dict[str, str]]:
    return {row["method"]: row for row in csv.DictReader(io.StringIO(text))}


def test_published_rows_are_the_papers_own() -> None:
    table1 = {row.columns["method"]: row.figures for row in published_rows("table1")}
    assert len(table1) == 14
    assert table1["Zoom-IQA"]["livew"] == ("0.887", "0.870")
    assert table1["Q-Align"]["csiq"] == ("0.671", "0.737")  # DeQA-Score's own table has 0.785
    assert table1["BRISQUE"]["pipal"] == ("0.267", "0.232")
    table3 = published_rows("table3")
    assert [row.columns["row"] for row in table3] == list("123456")
    assert table3[5].figures == table1["Zoom-IQA"]
    pairs = [pair for row in (*published_rows("table1"), *table3) for pair in row.figures.values()]
    assert all(0 < float(value) < 1 for pair in pairs for value in pair)


@pytest.mark.parametrize("table", ["table1", "table3"])
def test_published_rows_are_those_of_the_transcription(table: str, shared_dir: Path) -> None:
    theirs = list(csv.DictReader((shared_dir / "published" / f"{table}.csv").open(newline="")))
    ours = published_rows(table)
    for row, expected in zip(ours, theirs, strict=True):
        flat = {
            f"{name}_{kind}": pair[i] for name, pair in row.figures.items() for i, kind in enumerate(("plcc", "srcc"))
        }
        assert {**row.columns, **flat} == expected


def test_our_rows_stand_beside_the_published_and_are_marked(tmp_path: Path) -> None:
    run = evaluation(tmp_path / "a", {"livew": figures(0.8123), "livewild_jpeg": figures(0.4)})
    table = rows(report(["table1", f"ours={run}", "--format", "csv"]))
    assert table["ours"]["origin"] == "measured here"
    assert (table["ours"]["LIVE-Wild PLCC"], table["ours"]["LIVE-Wild SRCC"]) == ("0.500", "0.812")
    assert table["ours"]["KonIQ SRCC"] == ""
    assert (table["ours"]["livewild_jpeg SRCC"], table["Zoom-IQA"]["livewild_jpeg SRCC"]) == ("0.400", "")
    assert table["Zoom-IQA"]["LIVE-Wild SRCC"] == "0.870"
    assert all(row["origin"].startswith("published, ") for name, row in table.items() if name != "ours")
    assert list(table["ours"])[2:16:2] == [f"{title} PLCC" for title in DATASETS.values()]


@pytest.mark.parametrize(("kind", "value"), [("raw", "0.500"), ("logistic4", "0.600"), ("isotonic", "0.700")])
def test_our_plcc_is_never_without_its_name(kind: str, value: str, tmp_path: Path) -> None:
    run = evaluation(tmp_path / "a", {"koniq": figures(0.9)})
    text = report(["table1", f"ours={run}", "--plcc", kind])
    assert f" {value} / 0.900 |" in text
    named = {"raw": "is raw", "logistic4": "4-parameter logistic", "isotonic": "isotonic regression"}
    assert named[kind] in text


def test_runs_of_one_name_share_a_row_and_never_a_data_set(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "a", {"koniq": figures(0.9)})
    second = evaluation(tmp_path / "b", {"spaq": figures("undefined (all predictions are equal)")})
    text = report(["table1", f"x={first}", f"x={second}", "--format", "csv"])
    assert (rows(text)["x"]["KonIQ SRCC"], rows(text)["x"]["SPAQ SRCC"]) == ("0.900", "undefined")
    with pytest.raises(DataError, match="x: two runs hold koniq"):
        report(["table1", f"x={first}", f"x={first}"])
    assert "| a " in report(["table1", str(first)])


def test_notes_say_what_was_run_on_how_much(tmp_path: Path) -> None:
    run = evaluation(tmp_path / "a", {"koniq": figures(0.9, n_valid=1150)}, limit=1200, samples_per_image=4)
    text = report(["table1", f"x={run}"])
    assert "policy p, trajectories per image 4, 1200 images of each data set at most" in text
    assert "x: koniq 1,200 images, 50 of them unreadable and left out." in text


CLIPPED = {"clipped_ratings": 3, "clipped_rating_rate": 0.0025, "clipped_labels": 0, "clipped_label_rate": 0.0}


def test_notes_say_how_much_was_clipped(tmp_path: Path) -> None:
    said = "3 ratings (0.2%) and 0 labels (0.0%) off the scale of 1 to 5, clipped to it"
    run = evaluation(tmp_path / "a", {"koniq": figures(0.9, **CLIPPED)})
    assert f"x: koniq 1,200 images, {said}." in report(["table1", f"x={run}"])
    trained(tmp_path / "runs/b", "table3_rank", 7, {"grpo": figures(0.2, **CLIPPED)})
    trained(tmp_path / "runs/c", "table3_rank", 8, {"grpo": figures(0.2, **CLIPPED | {"clipped_ratings": 0})})
    table = report(["table3", str(tmp_path / "runs")])
    assert f"table3_rank, seed 7: embedded: {said}" in table
    assert "seed 8: embedded" not in table


def test_expected_ratings_stand_beside_answers(tmp_path: Path) -> None:
    run = evaluation(tmp_path / "a", {"koniq": figures(0.9, srcc_expected=0.9128), "csiq": figures(0.8)})
    text = report(["table1", f"x={run}"])
    assert "x: koniq 1,200 images, SRCC of expected ratings 0.913; csiq 1,200 images." in text
    for seed, expected in enumerate((0.25, 0.35)):
        trained(tmp_path / f"runs/{seed}", "table3_rank", seed, {"grpo": figures(0.2, srcc_expected=expected)})
    trained(tmp_path / "runs/old", "table3_score", 0, {"grpo": figures(0.2)})
    table = csv.DictReader(io.StringIO(report(["table3", str(tmp_path / "runs"), "--format", "csv"])))
    cells = {row["experiment"]: row["SRCC of expected ratings"] for row in table}
    assert (cells["table3_rank"], cells["table3_score"], cells["table3_sft"]) == ("0.300 ± 0.071", "", "")


def test_a_training_run_counts_after_its_last_stage(tmp_path: Path) -> None:
    both = {"sft": figures(0.1), "grpo": figures(0.2)}
    run = trained(tmp_path / "a", "table3_rank", 0, both)
    assert rows(report(["table1", f"x={run}", "--format", "csv"]))["x"]["embedded SRCC"] == "0.200"
    koniq = trained(tmp_path / "b", "table3_rank", 0, both, benchmark={"name": "koniq"})
    assert rows(report(["table1", f"x={koniq}", "--format", "csv"]))["x"]["KonIQ SRCC"] == "0.200"


@pytest.mark.parametrize("missing", ["config.yaml", "metrics.json"])
def test_folders_that_are_no_runs_are_named(missing: str, tmp_path: Path) -> None:
    run = evaluation(tmp_path / "a", {"koniq": figures(0.9)})
    (run / missing).unlink()
    with pytest.raises(DataError, match=f"has no {missing}"):
        report(["table1", str(run)])


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("metrics.json", b'{"koniq": {"srcc"', "metrics.json is damaged: no JSON"),
        ("metrics.json", b"[" * 100_000, "metrics.json is damaged: no JSON .nested too deep"),
        ("metrics.json", b"[]", "metrics.json is damaged: it holds no keys and values"),
        ("metrics.json", b"\xff", "metrics.json is damaged: .*byte 0 .0xff"),
        ("metrics.json", b'{"koniq": {"n": 2}}', "metrics.json: koniq has no n_valid, srcc, plcc; it is damaged"),
        ("metrics.json", b'{"koniq": [1]}', "metrics.json is damaged: koniq has no figures by name"),
        ("config.yaml", b"policy: {path: a}\nlimit: null", "config.yaml is damaged: it has no samples_per_image"),
        ("config.yaml", b"policy: {path: a}\nstages: [sft]", "config.yaml is damaged: it has no seed"),
        ("config.yaml", b"a: 1", "config.yaml is damaged: it names neither a policy nor a peer"),
        ("config.yaml", b"a: [", "config.yaml is damaged: no YAML"),
        ("config.yaml", b"\x00", "config.yaml is damaged: "),
        ("config.yaml", b"!!python/object/apply:os.system [ls]", "config.yaml is damaged: no YAML"),
    ],
)
def test_damaged_folders_are_one_line(file: str, content: bytes, said: str, tmp_path: Path) -> None:
    run = evaluation(tmp_path / "a", {"koniq": figures(0.9)})
    (run / file).write_bytes(content)
    with pytest.raises(DataError, match=said) as raised:
        report(["table1", str(run)])
    assert str(raised.value).isprintable()


def ablation(folder: Path) -> None:
    for name, srccs in {"table3_sft": [0.5, 0.6, 0.7], "table3_score_rank": [0.8, 0.8], "table3_rank": [0.7]}.items():
        stage = "sft" if name == "table3_sft" else "grpo"
        for seed, srcc in enumerate(srccs):
            trained(folder / f"{name}-seed{seed}", name, seed, {stage: figures(srcc)})


def test_ablation_has_seeds_mean_and_spread_in_the_papers_order(tmp_path: Path) -> None:
    ablation(tmp_path)
    trained(tmp_path / "own", "my_variant", 0, {"grpo": figures(0.1)})
    table = list(csv.DictReader(io.StringIO(report(["table3", str(tmp_path), "--format", "csv"]))))
    ours = [row for row in table if row["origin"] == "measured here"]
    assert [row["experiment"] for row in ours] == ["table3_sft", "table3_rank", "table3_score_rank", "my_variant"]
    assert [row["SRCC"] for row in ours] == ["0.600 ± 0.100", "0.700", "0.800 ± 0.000", "0.100"]
    assert [row["seeds"] for row in ours] == ["0, 1, 2", "0", "0, 1", "0"]
    assert ours[0]["crop rate"] == "0.500 ± 0.000"
    diversity = {row["experiment"]: row["unique-score ratio"] for row in table[-2:]}
    assert diversity == {"mean opinion scores": "0.713", "VisualQuality-R1": "0.020"}


def test_ablation_ticks_stand_beside_the_papers_figures(tmp_path: Path) -> None:
    ablation(tmp_path)
    text = report(["table3", str(tmp_path), "--format", "csv"])
    table = {row["experiment"]: row for row in csv.DictReader(io.StringIO(text))}
    columns = ("SFT", "score reward", "rank reward", "KL-Coverage", "re-sampling")
    ticks = {name: "".join("x" if table[name][column] else "-" for column in columns) for name in EXPERIMENTS}
    assert list(ticks.values()) == ["x----", "x-xx-", "xx-x-", "xxx--", "xxxx-", "xxxxx"]  # the paper's Table 3
    assert table["table3_rank"]["paper's KonIQ"] == "0.906 / 0.887"
    assert (table["table3_rank"]["row"], table["table3_rank"]["SRCC"]) == ("2", "0.700")
    assert (table["table3_progressive"]["SRCC"], table["table3_progressive"]["paper's CSIQ"]) == ("", "0.797 / 0.754")


def test_runs_that_go_on_from_one_sft_a_seed_are_the_papers_rows(tmp_path: Path) -> None:
    for seed in (0, 1):
        trained(tmp_path / f"sft_seed{seed}", "table3_sft", seed, {"sft": figures(0.5)}, sft={"slope": 0.5})
        start = {"path": f"where/it/was/made/sft_seed{seed}/policy"}
        given: dict[str, Any] = {"stages": ["grpo"], "policy": start}
        trained(tmp_path / f"rank_seed{seed}", "table3_rank", seed, {"grpo": figures(0.7 + seed / 10)}, **given)
    text = report(["table3", str(tmp_path), "--format", "csv"])
    table = {row["experiment"]: row for row in csv.DictReader(io.StringIO(text))}
    rank = table["table3_rank"]
    assert (rank["row"], rank["SFT"], rank["seeds"], rank["SRCC"]) == ("2", "✓", "0, 1", "0.750 ± 0.071")
    assert (table["table3_sft"]["seeds"], table["table3_sft"]["SRCC"]) == ("0, 1", "0.500 ± 0.000")
    trained(tmp_path / "own", "own_sft", 2, {"sft": figures(0.5)}, stages=["sft"], sft={"slope": 0.9})
    given["policy"] = {"path": "own/policy"}
    trained(tmp_path / "rank_seed2", "table3_rank", 2, {"grpo": figures(0.7)}, **given)
    with pytest.raises(DataError, match="table3_rank: runs differ in more than their seed") as raised:
        report(["table3", str(tmp_path)])
    assert "from.sft.slope: 0.5 and 0.9" in str(raised.value)


def test_a_run_of_grpo_takes_the_sft_that_it_went_on_from(tmp_path: Path) -> None:
    """The longest path counts, a policy that lies elsewhere is none of these, and GRPO after GRPO has no SFT."""
    runs = tmp_path / "runs"
    trained(runs / "sft_seed0", "table3_sft", 0, {"sft": figures(0.5)}, sft={"slope": 0.5})
    trained(runs / "new/sft_seed0", "own_sft", 0, {"sft": figures(0.5)}, stages=["sft"], sft={"slope": 0.9})
    (tmp_path / "others/sft_seed0/policy").mkdir(parents=True)
    starts = {
        "a": "gone/runs/new/sft_seed0/policy", "b": "gone/runs/sft_seed0/policy", "d": "gone/runs/b/policy",
        "c": str(tmp_path / "others/sft_seed0/policy"), "e": None,
    }  # fmt: skip
    for name, start in starts.items():
        trained(runs / name, name, 0, {"grpo": figures(0.7)}, stages=["grpo"], policy={"path": start})
    trained(runs / "f", "f", 0, {"grpo": figures(0.7)}, policy={"path": "gone/runs/sft_seed0/policy"})
    found = {run.config["name"]: run.config for run in read_multirun(runs)[0]}
    assert {name: found[name].get("from", {}).get("sft") for name in "abcdef"} == {
        "a": {"slope": 0.9}, "b": {"slope": 0.5}, "c": None, "d": None, "e": None, "f": None,
    }  # fmt: skip
    assert [found[name]["stages"] for name in "acf"] == [["sft", "grpo"], ["grpo"], ["sft", "grpo"]]


def test_a_run_with_other_parts_is_not_the_papers_row(tmp_path: Path) -> None:
    trained(tmp_path / "a", "table3_rank", 0, {"grpo": figures(0.5)}, penalties={})
    text = report(["table3", str(tmp_path), "--format", "csv"])
    table = [row for row in csv.DictReader(io.StringIO(text)) if row["experiment"] == "table3_rank"]
    assert [(row["row"], row["KL-Coverage"], row["SRCC"], row["paper's KonIQ"]) for row in table] == [
        ("2", "✓", "", "0.906 / 0.887"),
        ("", "", "0.500", ""),
    ]
    assert "table3_rank was run with other parts than the paper's row 2\n" in report(["table3", str(tmp_path)])
    trained(tmp_path / "b", "table3_score", 0, {"grpo": figures(0.5)}, stages=["grpo"])
    assert "paper's row 3: the SFT that it goes on from is not among these runs" in report(["table3", str(tmp_path)])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_experiments_are_the_papers_rows(experiment: str) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", overrides=[f"+experiment={experiment}"])
    row = published_rows("table3")[EXPERIMENTS.index(experiment)]
    on = {part for part, value in row.columns.items() if value == "yes"}
    config: Any = OmegaConf.to_container(cfg, resolve=False)
    assert parts_of(config) == on


@pytest.mark.parametrize("weight", [None, 0, 0.0])
def test_a_part_without_weight_is_off(weight: float | None) -> None:
    part = None if weight is None else {"weight": weight, "beta": weight}
    config = {
        "stages": ["grpo"],
        "reward": {"score": {"weight": {"_target_": "a.schedule"}}, "rank": part},
        "penalties": {"kl_coverage": part},
        "resampling": {"exponents": [0]},
    }
    assert parts_of(config) == {"score_reward"}


def test_undefined_figures_are_counted(tmp_path: Path) -> None:
    for seed, srcc in enumerate([0.5, "undefined (all predictions are equal)", 0.7]):
        trained(tmp_path / f"a{seed}", "table3_rank", seed, {"grpo": figures(srcc)})
    assert "| 0.600 ± 0.141 (1 undefined) |" in report(["table3", str(tmp_path)])


def test_runs_that_have_not_ended_are_noted(tmp_path: Path) -> None:
    trained(tmp_path / "a", "table3_rank", 0, {"grpo": figures(0.5)})
    trained(tmp_path / "b", "table3_rank", 1, {"sft": figures(0.5)})
    (trained(tmp_path / "c", "table3_rank", 2, {}) / "metrics.json").unlink()
    text = report(["table3", str(tmp_path)])
    assert "not in the table: b has not reached the end of its stage grpo" in text
    assert "not in the table: c has no figures yet" in text
    with pytest.raises(DataError, match="no training run has ended below it"):
        report(["table3", str(tmp_path / "c")])


def test_runs_that_make_no_mean_are_refused(tmp_path: Path) -> None:
    metrics = {"grpo": figures(0.5)}
    for seed in (0, 1):
        write(tmp_path / str(seed), resolved(seed), metrics)
    assert "| 0, 1 " in report(["table3", str(tmp_path)])  # a seed stands in many places
    write(tmp_path / "other", resolved(2, "grpo.steps=7"), metrics)
    with pytest.raises(DataError, match=r"table3_rank: runs differ in more than their seed.*\n.*grpo.*steps: .* and 7"):
        report(["table3", str(tmp_path)])
    (tmp_path / "other" / "config.yaml").unlink()
    write(tmp_path / "again", resolved(0), metrics)
    with pytest.raises(DataError, match="share a seed"):
        report(["table3", str(tmp_path)])


def test_renderings_of_one_table() -> None:
    table = TextTable(
        title="a & b", header=["name", "x_1"], names=1, rows=[["50 % | ±", "0.5"], ["long name", ""]], notes=["n"]
    )
    assert markdown(table).splitlines() == [
        "**a & b**",
        "",
        "| name      | x_1 |",
        "| --------- | --: |",
        "| 50 % \\| ± | 0.5 |",
        "| long name |     |",
        "",
        "- n",
    ]
    lines = latex(table).splitlines()
    assert lines[0] == "% n"
    assert r"\caption{a \& b}" in lines
    assert r"\begin{tabular}{lr}" in lines
    assert r"name & x\_1 \\" in lines
    assert r"50 \% | $\pm$ & 0.5 \\" in lines
    named = TextTable(title="t", header=["name"], names=1, rows=[["[br]"], ["*st"], ["x"]], notes=[])
    assert [line for line in latex(named).splitlines() if line.endswith(r" \\")][1:] == [
        r"{}[br] \\",
        r"{}*st \\",
        r"x \\",
    ]
    with pytest.raises(ValueError, match="as many cells"):
        TextTable(title="", header=["a"], names=1, rows=[["a", "b"]], notes=[])


@pytest.mark.parametrize("rendered", [markdown, latex])
def test_what_moves_a_terminal_is_written_out(rendered: Callable[[TextTable], str]) -> None:
    plain, hostile = (
        rendered(TextTable(title=text, header=[text], names=1, rows=[[text]], notes=[text])).split("\n")
        for text in ("ab", "a\n\x1b[31mb")
    )
    assert len(hostile) == len(plain)
    assert all(line.isprintable() for line in hostile)
    assert sum("x1b[31mb" in line for line in hostile) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "zoom-iqa report rnu: there is no such kind; did you mean run? Valid: compare, human, judges, "),
        ([], "zoom-iqa report: name one of run, compare, table1"),
    ],
)
def test_a_kind_that_there_is_not_shows_those_that_there_are(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        report(arguments)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("arguments", [["table1", "x="], ["table1", "=runs"], ["human", ""], ["run", ""]])
def test_an_empty_name_is_not_the_working_folder(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="a name is empty, as that of an unset variable is; give FOLDER or NAME=FOLD"):
        report(arguments)


@pytest.mark.parametrize("kind", ["run", "compare"])
def test_a_page_takes_no_other_file_s_place(kind: str, tmp_path: Path) -> None:
    run = evaluation(tmp_path / "run", {"embedded": figures(0.5)})
    before = (run / "metrics.json").read_bytes()
    with pytest.raises(ConfigError, match=r"metrics\.json: a page is written as one of \.html, \.htm"):
        report([kind, str(run), "--output", str(run / "metrics.json")])
    assert (run / "metrics.json").read_bytes() == before

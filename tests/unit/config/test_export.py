"""An export is what was trained: transformers gives the same logits, and each tensor that does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForImageTextToText, AutoTokenizer

from support.command_line import run_module
from support.plain_policy import plain_policy
from support.small_run import composed, save_policy
from zoom_iqa.base.errors import CheckpointError, ConfigError, OutputError, PolicyError
from zoom_iqa.config.exporting import export
from zoom_iqa.config.kept_config import kept_config
from zoom_iqa.policy.lora import LoraSettings, adapter_weights
from zoom_iqa.policy.policy import Policy
from zoom_iqa.training.checkpoints import FORMAT

IDS = torch.arange(20, 50)[None]
RANK, ALPHA = 4, 8


def trained(start: Path, *, lora: bool) -> Policy:
    """The start with other weights, as training would leave them."""
    settings = LoraSettings(rank=RANK, alpha=ALPHA, targets=["q_proj", "down_proj"]) if lora else None
    policy = plain_policy(start, lora=settings)
    generator = torch.Generator().manual_seed(1)
    changed = adapter_weights(policy.model) if lora else dict(policy.model.named_parameters())
    for parameter in changed.values():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return policy


def made_run(folder: Path, policy: Policy, start: Path, *overrides: str) -> Path:
    """The files of a run that an export reads."""
    experiment = () if any(one.startswith("+experiment=") for one in overrides) else ("+experiment=quickstart",)
    cfg = composed(*experiment, f"policy.path={start}", *overrides)
    (folder / "checkpoints" / "grpo").mkdir(parents=True)
    (folder / "config.yaml").write_text(kept_config(cfg))
    sft = {"srcc": 0.5, "plcc": 0.25, "valid_rate": 1.0, "format_rate": 1.0, "n": 7}
    (folder / "metrics.json").write_text(json.dumps({"sft": sft, "grpo": {**sft, "srcc": 0.75}}))
    write_checkpoint(folder, {f"model.{name}": value for name, value in policy.model.state_dict().items()})
    return folder


def write_checkpoint(run: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({"state_dict": state, "zoom_iqa_format": FORMAT}, run / "checkpoints" / "grpo" / "done.ckpt")


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model.eval()(input_ids=IDS).logits


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("start"))


@pytest.fixture
def run(start: Path, tmp_path: Path) -> Path:
    return made_run(tmp_path / "run", trained(start, lora=False), start)


LORA = ("policy/lora=r64", f"policy.lora.rank={RANK}", f"policy.lora.alpha={ALPHA}",
        "policy.lora.targets=[q_proj,down_proj]")  # fmt: skip


def test_transformers_loads_what_was_trained(run: Path, start: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "out", adapter=False)
    ours, loaded = trained(start, lora=False), AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    assert torch.equal(logits(loaded), logits(ours.model))
    assert not torch.equal(logits(loaded), logits(AutoModelForImageTextToText.from_pretrained(start)))
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == ours.tokenizer.get_vocab()
    assert {"chat_template.jinja", "preprocessor_config.json"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_its_card_has_figures_and_config(run: Path, tmp_path: Path) -> None:
    export(run / "checkpoints" / "grpo" / "done.ckpt", tmp_path / "out", adapter=False)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| sft | 0.500 | 0.250 | 1.000 | 1.000 | 7 |" in card
    assert "| grpo | 0.750 |" in card
    assert "Images: 7 of embedded." in card
    assert yaml.safe_load((tmp_path / "out" / "zoom_iqa.yaml").read_text())["name"] == "quickstart"


def test_wider_heads_compute_the_same(run: Path, start: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "wide", adapter=False, head_width=64)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "wide", dtype=torch.float32)
    assert model.config.text_config.hidden_size // model.config.text_config.num_attention_heads == 64
    torch.testing.assert_close(logits(model), logits(trained(start, lora=False).model), rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match="head_width=64 is of merged weights; leave out adapter=true"):
        export(run, tmp_path / "kept", adapter=True, head_width=64)


def test_an_adapter_is_merged_or_kept(start: Path, tmp_path: Path) -> None:
    ours = trained(start, lora=True)
    run = made_run(tmp_path / "run", ours, start, *LORA)
    export(run, tmp_path / "merged", adapter=False)
    export(run, tmp_path / "kept", adapter=True)
    merged, kept = (AutoModelForImageTextToText.from_pretrained(tmp_path / name) for name in ("merged", "kept"))
    expected = logits(ours.model)
    torch.testing.assert_close(logits(merged), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits(kept), expected, atol=1e-4, rtol=1e-4)
    assert (expected - logits(AutoModelForImageTextToText.from_pretrained(start))).abs().max() > 0.1
    assert not (tmp_path / "kept" / "model.safetensors").exists()
    cards = {name: (tmp_path / name / "README.md").read_text() for name in ("merged", "kept")}
    assert ["policy.path=FOLDER" in cards[name] for name in ("merged", "kept")] == [True, False]
    assert json.loads((tmp_path / "kept" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(start)


def test_a_policy_in_a_run_is_exported_with_a_card(run: Path, start: Path, tmp_path: Path) -> None:
    best = run / "logs" / "grpo" / "best" / "step-000003"
    trained(start, lora=False).save(best)
    export(best, tmp_path / "out", adapter=False)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| sft | 0.500 |" in card  # it began there
    assert "| grpo | " not in card  # whose figures are of its end
    with pytest.raises(ConfigError, match="adapters are merged there"):
        export(best, tmp_path / "adapter", adapter=True)


NAME = "model.model.language_model.norm.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop(NAME), f"1 missing: {NAME}"),
        (lambda state: state.update({"model.more": torch.zeros(5)}), "1 left over: model.more"),
        (lambda state: state.update({f"{NAME}s": state.pop(NAME)}), f"1 renamed: {NAME} is there as {NAME}s"),
        (
            lambda state: state.update({NAME: torch.zeros(3)}),
            rf"1 of another shape: {NAME} is \[3\] where the policy has \[64\]",
        ),
    ],
    ids=["missing", "extra", "renamed", "reshaped"],
)
def test_a_tensor_that_does_not_fit_is_named(change, said: str, run: Path, start: Path, tmp_path: Path) -> None:
    state = {f"model.{name}": value for name, value in trained(start, lora=False).model.state_dict().items()}
    change(state)
    write_checkpoint(run, state)
    with pytest.raises(CheckpointError, match=rf"done\.ckpt: its tensors do not fit the policy; {said}$"):
        export(run, tmp_path / "out", adapter=False)
    assert not (tmp_path / "out").exists()


def test_an_export_that_cannot_be(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no adapter to keep"):
        export(run, tmp_path / "out", adapter=True)
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        export(tmp_path / "nothing", tmp_path / "out", adapter=False)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(ConfigError, match="no folder above it is a run's"):
        export(tmp_path / "elsewhere", tmp_path / "out", adapter=False)
    (tmp_path / "out").mkdir()
    with pytest.raises(PolicyError, match="exists"):
        export(run, tmp_path / "out", adapter=False)
    with pytest.raises(OutputError, match=r"config\.yaml is a file; name another place"):
        export(run, run / "config.yaml" / "out", adapter=False)


@pytest.mark.parametrize("place", ["config.yaml", "checkpoints", "policy/model.safetensors"])
def test_what_is_neither_a_checkpoint_nor_a_policy_is_refused_as_it_is(place: str, run: Path, tmp_path: Path) -> None:
    """Nothing is called damaged that is whole: a remedy of removing it would cost the run."""
    (run / "policy").mkdir(exist_ok=True)
    (run / "policy" / "model.safetensors").touch()
    with pytest.raises(
        ConfigError, match=rf"^checkpoint={run / place}: name {run}, a \.ckpt file in it, or a policy's"
    ):
        export(run / place, tmp_path / "out", adapter=False)


def test_a_damaged_checkpoint_is_no_call_to_remove_it(run: Path, tmp_path: Path) -> None:
    broken = next(run.rglob("*.ckpt"))
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"is damaged \(.*\); name another one of its run$"):
        export(broken, tmp_path / "out", adapter=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "checkpoint is not given; usage: zoom-iqa export checkpoint=RUN out=FOLDER"),
        (
            ["chekpoint=a"],
            "chekpoint: there is no such key; did you mean checkpoint? Valid: adapter, checkpoint, head_width, out",
        ),
        (["checkpoint=a", "out=b", "head_width=0"], "head_width=0 must be a whole number above 0"),
        (["checkpoint=a", "out=b", "adapter=yes"], "adapter=yes must be true or false"),
        (["checkpoint=a", "checkpoint=b"], "checkpoint is given twice; give it once"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = run_module("zoom_iqa.export", arguments, monkeypatch, capsys)
    assert (ended.status, ended.err) == (2, f"error: {said}\n")


@pytest.mark.parametrize(("overrides", "photographs"), [([], 2), (["task.reference=true"], 3)])
def test_a_comparison_is_exported_with_as_many_photographs_as_it_shows(
    overrides: list[str], photographs: int, start: Path, tmp_path: Path
) -> None:
    run = made_run(tmp_path / "run", trained(start, lora=False), start, "+experiment=compare_quickstart", *overrides)
    sft = {"accuracy": 0.5, "order_flip_rate": 0.25, "valid_rate": 1.0, "format_rate": 1.0, "n": 7}
    (run / "metrics.json").write_text(json.dumps({"sft": sft, "grpo": sft}))
    export(run, tmp_path / "out", adapter=False)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "names the better of two images, and says why" in card
    assert "python example.py " + " ".join(f"PHOTO_{number}" for number in range(1, photographs + 1)) in card

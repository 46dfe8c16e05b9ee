"""A real pipeline of diffusers, tiny and of random weights, through ``--apply``: only that it runs is shown here."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from support.made_assessments import answer, assessment, grey_image
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.evaluation.diffusers_editor import DiffusersEditor
from zoom_iqa.tasks.guidance import TARGETS

TEXT = "<think>Quality: soft\nImprove: crisp edges\nAvoid: blur\nDecision: final</think>"
SIGNS = [chr(number) for number in range(33, 127)]


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an upscaler that was never trained."""
    diffusers: Any = pytest.importorskip("diffusers", reason="needs diffusers (extra restore)")
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("upscaler")
    words = [*SIGNS, *(f"{sign}</w>" for sign in SIGNS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
    )
    made = diffusers.StableDiffusionUpscalePipeline(
        tokenizer=CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77),
        text_encoder=CLIPTextModel(text),
        vae=diffusers.AutoencoderKL(
            block_out_channels=[8, 8, 8],
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            norm_num_groups=4,
            scaling_factor=0.08333,
        ),
        unet=diffusers.UNet2DConditionModel(
            block_out_channels=(8, 8),
            layers_per_block=1,
            in_channels=7,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            attention_head_dim=4,
            num_class_embeds=1000,
            cross_attention_dim=16,
        ),
        low_res_scheduler=diffusers.DDPMScheduler(),
        scheduler=diffusers.DDIMScheduler(),
        max_noise_level=350,
    )
    made.save_pretrained(folder / "pipeline")
    return folder / "pipeline"


def test_prompts_reach_a_real_pipeline_and_its_seed_is_fixed(upscaler: Path, capfd: pytest.CaptureFixture[str]) -> None:
    editor = DiffusersEditor(
        target=TARGETS["sd-upscale"], folder=str(upscaler), device=torch.device("cpu"), seed=3, count=None
    )
    image, found = grey_image(90, width=24, height=16), assessment(answer(2.0, text=TEXT))
    (first,), (second,) = editor.edits(image, found), editor.edits(image, found)
    assert (first.name, first.image.size) == ("StableDiffusionUpscalePipeline", (24, 16))
    assert first.image.tobytes() == second.image.tobytes()
    other = assessment(answer(2.0, text=TEXT.replace("crisp edges", "steady colour")))
    assert editor.edits(image, other)[0].image.tobytes() != first.image.tobytes()
    assert capfd.readouterr().err == ""  # bars are for a terminal


def test_a_folder_of_another_pipeline_is_one_line(upscaler: Path) -> None:
    with pytest.raises(ConfigError, match=r"no FluxKontextPipeline could be loaded from it \(Pipeline .* expected"):
        DiffusersEditor(
            target=TARGETS["flux-kontext"], folder=str(upscaler), device=torch.device("cpu"), seed=3, count=None
        )
    weights = upscaler / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(ConfigError, match=r"--apply .*: no StableDiffusionUpscalePipeline could be loaded from it"):
        DiffusersEditor(
            target=TARGETS["sd-upscale"], folder=str(upscaler), device=torch.device("cpu"), seed=3, count=None
        )
    weights.write_bytes(whole)


def test_every_target_of_diffusers_takes_what_it_is_given() -> None:
    diffusers: Any = pytest.importorskip("diffusers", reason="needs diffusers (extra restore)")
    for target in TARGETS.values():
        if target.pipeline is not None:
            takes = inspect.signature(getattr(diffusers, target.pipeline).__call__).parameters
            asked = {"image", "generator", "prompt", "negative_prompt"}
            assert (asked | ({"true_cfg_scale"} if target.negative == "true_cfg" else set())) <= set(takes)

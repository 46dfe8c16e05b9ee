"""An exported policy explains itself: files that the umask opens, a card, and an example that runs without us."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from support.plain_policy import plain_policy
from support.random_policy import build_random_policy, noise_image
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import ImagePart, Message, Request, TextPart
from zoom_iqa.config.composition import composed
from zoom_iqa.config.policy_card import task_to_choose
from zoom_iqa.engines.transformers_engine import TransformersEngine
from zoom_iqa.policy.card import card_files
from zoom_iqa.policy.loading import is_hub_id
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

FIGURES = {"sft": {"srcc": 0.7024, "plcc": 0.7, "valid_rate": 1.0, "format_rate": 0.25, "n": 34, "other": 5}}
TEXT = 'Rate "it" {from} 1 to 5,\nthen say why. \\ ü'
GREEDY = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=True, max_new_tokens=12, stop_strings=())


@pytest.fixture(scope="module")
def policy() -> Policy:
    return build_random_policy()


def files_for(
    *images: Image.Image,
    start: str = "/models/tiny",
    is_hub_id: bool = False,
    upright: bool = True,
    task: str | None = None,
    adapter: bool = False,
) -> dict[str, str]:
    return card_files(
        name="quickstart",
        start=start,
        is_hub_id=is_hub_id,
        dataset="34 of embedded",
        figures=FIGURES,
        prompt=prompt_of(*images),
        task=task,
        adapter=adapter,
        max_new_tokens=12,
        upright=upright,
        config_yaml="seed: 0\n",
    )


def prompt_of(*images: Image.Image) -> tuple[Message, ...]:
    labelled = [part for image in images for part in (TextPart("Next: "), ImagePart.of(image))]
    return (Message("user", (TextPart(TEXT), *labelled[len(images) == 1 :])),)  # one image has no label


@pytest.mark.parametrize(("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750)])
def test_others_may_read_it_as_the_umask_says(
    umask: int, file: int, folder: int, policy: Policy, tmp_path: Path
) -> None:
    before = os.umask(umask)
    try:
        policy.save(tmp_path / "policy", files={"README.md": "here"})
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "policy").iterdir()} == {file}
    assert (tmp_path / "policy").stat().st_mode & 0o777 == folder
    assert (tmp_path / "policy" / "README.md").read_text() == "here"


def test_the_rest_of_a_killed_export_is_replaced(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / ".policy.part").mkdir()
    (tmp_path / ".policy.part" / "rest.txt").touch()
    policy.save(str(tmp_path / "policy"))
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]
    assert not (tmp_path / "policy" / "rest.txt").exists()


def test_a_card_has_the_figures_and_where_it_began() -> None:
    card = files_for(noise_image(0, 40, 30))["README.md"]
    assert "trained it from `/models/tiny`" in card
    assert "| stage | SRCC | PLCC, raw | readable | well-formed | images |" in card
    assert "| sft | 0.702 | 0.700 | 1.000 | 0.250 | 34 |" in card
    front = yaml.safe_load(card.split("---")[1])
    assert "base_model" not in front  # hubs look the name up
    hub = files_for(noise_image(0, 40, 30), start="Qwen/Qwen2.5-VL-7B-Instruct", is_hub_id=True)["README.md"]
    assert yaml.safe_load(hub.split("---")[1])["base_model"] == "Qwen/Qwen2.5-VL-7B-Instruct"


def test_a_card_says_how_the_policy_is_judged_as_it_was_trained() -> None:
    photo = noise_image(0, 40, 30)
    assert "evaluate policy.path=FOLDER manifest=mine.csv\n" in files_for(photo)["README.md"]
    assert "evaluate policy.path=FOLDER manifest=mine.csv task=chain\n" in files_for(photo, task="chain")["README.md"]
    kept = files_for(photo, adapter=True)["README.md"]
    assert "policy.path=FOLDER" not in kept
    assert "without `adapter=true`" in kept


@pytest.mark.parametrize(
    ("choice", "named"),
    [("zoom", None), ("chain", "chain"), ("caption_reason", "caption_reason"), ("zoom_released", "zoom_released")],
)
def test_a_runs_task_is_named_where_an_evaluation_would_take_another(choice: str, named: str | None) -> None:
    assert task_to_choose(composed("train", [f"task={choice}"])) == named
    own = OmegaConf.create({"task": {"_target_": "mine.Task"}})
    assert task_to_choose(own) == "NAME"
    assert composed("evaluate", []).task._target_.endswith(".ZoomTask")


def test_a_folder_that_is_gone_is_no_name_of_a_hub(tmp_path: Path) -> None:
    assert is_hub_id("Qwen/Qwen2.5-VL-7B-Instruct")
    assert not is_hub_id(str(tmp_path / "moved" / "policy"))
    assert not is_hub_id(str(tmp_path))


def test_a_card_of_a_policy_that_compares() -> None:
    images = noise_image(0, 40, 30), noise_image(1, 40, 30)
    figures = {"grpo": {"accuracy": 0.5, "order_flip_rate": 0.25, "valid_rate": 1.0, "format_rate": 0.9, "n": 600}}
    card = card_files(
        name="c",
        start="p",
        is_hub_id=False,
        dataset="600 of pairs",
        figures=figures,
        prompt=prompt_of(*images),
        task="compare",
        adapter=False,
        max_new_tokens=12,
        upright=True,
        config_yaml="",
    )["README.md"]
    assert "names the better of two images, and says why" in card
    assert "zoom_iqa.evaluate policy.path=FOLDER benchmark=srbench task=compare" in card
    assert "python example.py PHOTO_1 PHOTO_2" in card
    assert "| stage | accuracy | flips with the order | readable | well-formed | questions |" in card
    assert "| grpo | 0.500 | 0.250 | 1.000 | 0.900 | 600 |" in card


def test_no_penalty_of_the_base_model_is_saved_with_a_policy(tmp_path: Path) -> None:
    """Qwen's own generation config has one on repetition, which transformers and servers would apply."""
    policy = plain_policy()
    end = policy.model.generation_config.eos_token_id
    policy.model.generation_config.update(repetition_penalty=1.05, do_sample=True, temperature=1e-6, top_k=1)
    policy.save(tmp_path / "policy")
    kept = json.loads((tmp_path / "policy" / "generation_config.json").read_text())
    assert kept["eos_token_id"] == end
    assert kept.keys() <= {"bos_token_id", "eos_token_id", "pad_token_id", "transformers_version"}


@pytest.mark.parametrize("count", [1, 2])
def test_the_example_says_what_our_engine_says(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = plain_policy()
    images = [noise_image(3, 256, 192), noise_image(4, 140, 112)][:count]
    paths = [str(tmp_path / f"photo{number}.png") for number in range(count)]
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    folder = tmp_path / "policy"
    policy.save(folder, files=files_for(*images))
    monkeypatch.setattr(sys, "argv", ["example.py", *paths])
    capsys.readouterr()
    made = runpy.run_path(str(folder / "example.py"))
    said = capsys.readouterr().out

    engine = TransformersEngine(policy=policy, sampling=GREEDY, features=VisionCache(model=policy.model, capacity=1000))
    engine.submit(Request("a", "a", prompt_of(*images), 0))
    answers = []
    while engine.busy:
        answers += engine.step()
    (ours,) = answers
    assert made["inputs"]["input_ids"][0].tolist() == policy.encode(prompt_of(*images)).ids_L.tolist()
    assert said == ours.text + "\n"
    shown = ["text", "image"] if count == 1 else ["text", "text", "image", "text", "image"]
    assert [part["type"] for part in made["MESSAGES"][0]["content"]] == shown


@pytest.mark.parametrize(("upright", "size"), [(True, (28, 56)), (False, (56, 28))])
def test_the_example_turns_photographs_where_the_run_did(
    upright: bool, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it by a quarter
    noise_image(3, 56, 28).save(tmp_path / "photo.jpg", exif=exif)
    plain_policy().save(tmp_path / "policy", files=files_for(noise_image(3, 56, 28), upright=upright))
    monkeypatch.setattr(sys, "argv", ["example.py", str(tmp_path / "photo.jpg")])
    made = runpy.run_path(str(tmp_path / "policy" / "example.py"))
    assert [photo.size for photo in made["photos"]] == [size]


def test_what_transformers_loads_of_it(policy: Policy, tmp_path: Path) -> None:
    policy.save(tmp_path / "policy", files=files_for(noise_image(0, 40, 30)))
    for auto in (AutoTokenizer, AutoImageProcessor, AutoModelForImageTextToText):
        auto.from_pretrained(tmp_path / "policy")
    config = json.loads((tmp_path / "policy" / "config.json").read_text())
    assert config["model_type"] == "qwen2_5_vl"

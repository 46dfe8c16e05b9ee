"""The same questions to a real server and to the native engine, and the curation and judging that a server answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from support.chat_engine import FREE, answers, server_of
from support.chat_server import ChatApi, written
from support.command_line import Ended
from support.engine_runs import native
from support.made_rollouts import rollout, step
from support.plain_policy import plain_policy
from support.random_policy import noise_image
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import RecordCodec, record_of
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, ImagePart, Message, Request, TextPart, rated_example
from zoom_iqa.engines.chat_api.budget import Ledger
from zoom_iqa.engines.chat_api.engine import ALTERNATIVES, ChatEngine
from zoom_iqa.engines.chat_api.request_log import RequestLog
from zoom_iqa.policy.embedding import embed
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.tasks.task import prompt_key

GREEDY = SamplingParams(
    temperature=1.0, top_p=1.0, top_k=0, greedy=True, max_new_tokens=48, stop_strings=("</answer>",)
)


def questions() -> list[Request]:
    """A first turn, a second turn with two images, and a text alone; image sides are multiples of a patch's 32."""
    image, crop = (ImagePart.of(noise_image(seed, *size)) for seed, size in ((1, (256, 192)), (2, (128, 160))))
    ask = TextPart("Rate the image and decide if you need a crop for closer inspection.")
    turn1 = (Message("user", (ask, image)),)
    turn2 = (
        Message("user", (TextPart("Rate the image."),)),
        Message("assistant", (TextPart("<think>Quality: soft blur.</think>"),)),
        Message("user", (TextPart("Original image: "), image, TextPart("Cropped Image: "), crop)),
    )
    text = (Message("user", (TextPart("Reply with the word yes."),)),)
    return [Request(f"q{n}", prompt_key(prompt), prompt, seed=n) for n, prompt in enumerate((turn1, turn2, text))]


def served_and_native(
    base_url: str, model: str, log: Path, asked: Sequence[Request]
) -> tuple[dict[str, Generation], dict[str, Generation]]:
    """Greedy answers of the server, and of the native engine with the shipped policy and, as there, nothing banned."""
    policy = plain_policy()
    policy.banned_ids = ()
    with RequestLog(log) as kept:
        server = server_of(
            ChatApi(answer=written("")), model=model, base_url=base_url, timeout_s=200.0, max_pixels=10**6
        )
        engine = ChatEngine(server=server, sampling=GREEDY, ledger=Ledger(FREE, before=kept.spent), log=kept)
        served = answers(engine, *asked)
    return served, answers(native(policy, GREEDY), *asked)


@torch.no_grad()
def listed_entropies(request: Request, ids: Sequence[int]) -> torch.Tensor:
    """Entropies in nats where ``ids`` stand, of the distribution whose alternatives are listed, all others as one."""
    policy = plain_policy()
    prompt = policy.encode(request.prompt)
    whole = prompt.continued(ids)
    features = VisionCache(model=policy.model, capacity=10_000)(prompt.images) if prompt.images else ()
    out = policy.model.model.language_model(
        inputs_embeds=embed(policy, whole.ids_L, features)[None], position_ids=whole.positions_3L[:, None]
    )
    logits_CV = policy.model.lm_head(out.last_hidden_state[0, len(prompt.ids_L) - 1 : -1])
    p_CK = logits_CV.softmax(-1).topk(ALTERNATIVES).values
    rest_C1 = (1 - p_CK.sum(-1, keepdim=True)).clamp_min(0)
    return torch.special.entr(torch.cat([p_CK, rest_C1], 1)).sum(-1)


def curated_twice(command: Callable[..., Ended], base_url: str, model: str) -> dict[str, object]:
    """Curate two images, and again: the data card, after the second run has sent nothing."""
    server = (f"generator.model={model}", f"generator.base_url={base_url}", "generator.timeout_s=200")
    arguments = (
        *server,
        "limit=2",
        "out=data",
        "size=tiny",
        "hacf=near_mos",
        "hacf.tolerance=4",
        "vrf.refuse_when=all",
    )
    sent = []
    for _ in range(2):
        ended = command("curate", *arguments)
        assert ended.status == 0, ended.err
        calls = _calls(Path("data/generator_requests.jsonl"))
        card: dict[str, object] = json.loads(Path("data/card.json").read_text())
        assert card["images"] == 2
        cost = card["cost"]
        assert isinstance(cost, dict)
        assert cost["generator_requests"] == len(calls)
        assert cost["generator_output_tokens"] == sum(call["output_tokens"] for call in calls) > 0
        answered = [str(call["answered_by"]) for call in calls if call["outcome"] == "ok"]
        assert len(answered) >= 3  # the probe, and more
        assert all(name.startswith(model) for name in answered)
        assert len(answered) == len(calls)
        sent.append(calls)
    assert sent[0] == sent[1]
    return card


def judged_twice(command: Callable[..., Ended], base_url: str, model: str) -> dict[str, object]:
    """Judge two texts about images of the embedded set, and again: the second run has sent nothing. The figures."""
    records = [
        record_of(
            rollout(rated_example(id=name, dataset="embedded", mos=3.0), step(3.0, text=f"<think>{name}</think>"))
        )
        for name in _embedded_ids(2)
    ]
    RecordFile(Path("predictions.jsonl"), RecordCodec()).write(records)
    server = (f"judge.model={model}", f"judge.base_url={base_url}", "judge.timeout_s=200")
    sent = []
    for _ in range(2):
        ended = command(
            "judge", "own=predictions.jsonl", *server, "repeats=1", "controls=false", "size=tiny", "out=judged"
        )
        assert ended.status == 0, ended.err
        sent.append(_calls(Path("judged/judge_requests.jsonl")))
    assert sent[0] == sent[1]
    assert len(sent[0]) >= 3  # the probe and two texts
    found: dict[str, object] = json.loads(Path("judged/judged.json").read_text())
    return found


def through(text: str, stop: str) -> str:
    """The text up to a stop string's end: a token may spell more, which the client cuts off."""
    end = text.find(stop)
    return text if end < 0 else text[: end + len(stop)]


def _embedded_ids(count: int) -> list[str]:
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from zoom_iqa.config.location import conf_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        benchmark = instantiate(compose("benchmark/embedded").benchmark)
    return [item.id for item in benchmark.images("test", max_pixels=None, upright=True, size=None).items()[:count]]


def _calls(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]

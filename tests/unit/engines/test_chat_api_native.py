"""A chat engine over a server of the native engine answers as that engine does."""

from __future__ import annotations

from pathlib import Path

from support.chat_engine import FREE, answers, request, server_of
from support.chat_server import ChatApi, answered_by, chat_server
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.engines.chat_api.budget import Ledger
from zoom_iqa.engines.chat_api.engine import ChatEngine
from zoom_iqa.engines.chat_api.request_log import RequestLog
from zoom_iqa.engines.native.engine import NativeEngine
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache


def test_the_answers_are_those_of_the_engine_behind_the_server(random_policy: Policy, tmp_path: Path) -> None:
    greedy = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=True, max_new_tokens=12, stop_strings=())

    def native() -> NativeEngine:
        features = VisionCache(model=random_policy.model, capacity=1024)
        return NativeEngine(
            policy=random_policy,
            sampling=greedy,
            features=features,
            token_budget=4096,
            join_share=0.5,
            cuda_graphs=False,
        )

    requests = [request(number) for number in range(3)]
    expected = answers(native(), *requests)
    with chat_server(ChatApi(answer=answered_by(native()))) as api, RequestLog(tmp_path / "log.jsonl") as log:
        engine = ChatEngine(
            server=server_of(api, timeout_s=30.0), sampling=greedy, ledger=Ledger(FREE, before=log.spent), log=log
        )
        found = answers(engine, *requests)
    assert {key: (made.text, made.finish) for key, made in found.items()} == {
        key: (made.text, made.finish) for key, made in expected.items()
    }

r"""What the crops of a chain are worth, by pictures put in their place while every text stays.

    python experiments/chains/crop_control.py runs/.../policy --out control.json [--images 340]

Greedy chains about images distorted in one region only. Of a chain that looked and answered the last turn is asked
again, its crops exchanged: as asked, a random place of the same size, the whole image, a place that misses the region,
the region itself. Then one look after the other is exchanged alone. A second part asks about pristine images: those
that are rated at once are rated again after a look at their centre that is put into the policy's mouth.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoom_iqa.base.records import record_of
from zoom_iqa.base.types import Ending, Generation, ImagePart, Region, Rollout, Sample
from zoom_iqa.config.asked_policy import AskedPolicy, asked_policy
from zoom_iqa.evaluation.crop_places import PLACES, shown_at, with_last_images
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.evidence import looks_of, naming
from zoom_iqa.tasks.chain_reading import read_chain_turn
from zoom_iqa.tasks.sessions import QuestionSession, request_of

CENTRE = '<think>maybe centre</think><zoom>{"bbox_2d": [0.3, 0.3, 0.7, 0.7], "look_for": "hidden defects"}</zoom>'


def region_of(sample: Sample) -> Region:
    assert sample.example.truth is not None
    assert sample.example.truth.region is not None
    return sample.example.truth.region


def asked(policy_path: str, images: int, *, local: float, pristine: float) -> AskedPolicy:
    chosen = [f"benchmark.local_fraction={local}", f"benchmark.pristine_fraction={pristine}"]
    return asked_policy("deepsight_quickstart", policy_path, [*chosen, f"data.test.size={images}"])


def crops_of(rollout: Rollout) -> list[ImagePart]:
    messages = rollout.steps[-1].request.prompt[1:]
    return [part for message in messages for part in message.parts if isinstance(part, ImagePart)]


def asked_again(rollout: Rollout, crops: Sequence[ImagePart], name: str) -> QuestionSession:
    request = request_of(
        with_last_images(rollout.steps[-1].request.prompt, crops),
        example=rollout.example,
        index=0,
        seed=0,
        turn=1,
        name=name,
    )
    return QuestionSession(example=rollout.example, index=0, request=request, read=read_chain_turn)


def regional(policy_path: str, images: int) -> dict[str, Any]:
    given = asked(policy_path, images, local=1.0, pristine=0.0)
    rollouts = given.collected(given.opened())
    chosen = [
        (sample, rollout)
        for sample, rollout in zip(given.samples, rollouts, strict=True)
        if rollout.ending is Ending.FINAL and crops_of(rollout) and len(rollout.steps) > 1
    ]
    answers: dict[str, list[Rollout | None]] = {}
    moved: dict[str, list[tuple[int, float]]] = {}
    for name, place_of in PLACES.items():
        sessions, kept = [], []
        alone: list[tuple[int, int, QuestionSession]] = []
        for number, (sample, rollout) in enumerate(chosen):
            rng, looks, crops = np.random.default_rng(number), looks_of(record_of(rollout)), crops_of(rollout)
            places = [place_of(look, region_of(sample), rng) for look in looks]
            if None in places:
                continue
            put = zip(places, crops, strict=True)
            others = [shown_at(sample.image, place, crop.image.size) for place, crop in put if place is not None]
            sessions.append(asked_again(rollout, crops if name == "asked" else others, "again"))
            kept.append(number)
            if len(crops) > 1 and name == "random place":
                for k, other in enumerate(others):
                    mixed = [other if j == k else crop for j, crop in enumerate(crops)]
                    alone.append((number, k, asked_again(rollout, mixed, f"look{k + 1}")))
        found = dict(zip(kept, given.collected(sessions), strict=True))
        answers[name] = [found.get(number) for number in range(len(chosen))]
        for (number, k, _), one in zip(alone, given.collected([session for *_, session in alone]), strict=True):
            before, after = chosen[number][1].rating, one.rating
            if isinstance(before, float) and isinstance(after, float):
                moved.setdefault(f"look {k + 1}", []).append((number, abs(after - before)))
    whole_rows = [
        number
        for number in range(len(chosen))
        if all(row[number] is not None and isinstance(row[number].rating, float) for row in answers.values())  # type: ignore[union-attr]
    ]
    rows = {
        name: _row([answers[name][number] for number in whole_rows])  # type: ignore[misc]
        for name in PLACES
    }
    return {
        "images": len(given.samples),
        "looked and answered": len(chosen),
        "asked again, rated alike": statistics.fmean(
            one is not None and one.rating == rollout.rating
            for one, (_, rollout) in zip(answers["asked"], chosen, strict=True)
        )
        if chosen
        else None,
        "answered with every picture": len(whole_rows),
        "places": rows,
        "rating moved by one look at a random place": {
            name: {"n": len(values), "mean": statistics.fmean(value for _, value in values)}
            for name, values in moved.items()
        },
    }


def _row(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    if len(rollouts) < 3:
        return {"n": len(rollouts)}
    ratings = [float(rollout.rating) for rollout in rollouts if isinstance(rollout.rating, float)]
    mos = [rollout.example.mos for rollout in rollouts]
    names = [naming(record_of(rollout)) for rollout in rollouts]
    return {
        "n": len(rollouts),
        "srcc": srcc(ratings, mos),
        "rmse": math.sqrt(statistics.fmean((r - m) ** 2 for r, m in zip(ratings, mos, strict=True))),
        "mean rating": statistics.fmean(ratings),
        "defect named": statistics.fmean(name == 1 for name in names),
    }


def pristine(policy_path: str, images: int) -> dict[str, Any]:
    given = asked(policy_path, images, local=0.0, pristine=1.0)
    first = given.collected(given.opened())
    looked = [rollout.rating for rollout in first if rollout.cropped and isinstance(rollout.rating, float)]
    at_once = [
        (sample, rollout.rating)
        for sample, rollout in zip(given.samples, first, strict=True)
        if len(rollout.steps) == 1 and isinstance(rollout.rating, float)
    ]
    sessions = []
    for sample, _ in at_once:
        session = given.task.open(sample, index=0, seed=0)
        request = session.next_request()
        assert request is not None, "a first turn asks"
        session.submit(Generation(request.key, CENTRE, (), (), (), "stop"))
        sessions.append(session)
    after = given.collected(sessions)
    pairs = [(b, a.rating) for (_, b), a in zip(at_once, after, strict=True) if isinstance(a.rating, float)]
    return {
        "images": len(given.samples),
        "rated at once": len(at_once),
        "looked by itself": len(looked),
        "mean rating of those": statistics.fmean(looked) if looked else None,
        "rated again after a look": len(pairs),
        "mean rating at once": statistics.fmean(b for b, _ in pairs) if pairs else None,
        "mean rating after the look": statistics.fmean(a for _, a in pairs) if pairs else None,
        "lower after the look": statistics.fmean(a < b for b, a in pairs) if pairs else None,
        "higher after the look": statistics.fmean(a > b for b, a in pairs) if pairs else None,
    }


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=340)
    parser.add_argument("--pristine", type=int, default=136)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        "regional": regional(args.policy, args.images),
        "pristine": pristine(args.policy, args.pristine),
    }  # fmt: skip
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

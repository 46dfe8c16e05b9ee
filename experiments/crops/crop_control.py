r"""What a crop is worth to a policy of task=zoom, by pictures put in its place while every text stays.

    python experiments/crops/crop_control.py runs/.../policy --out control.json [key=value ...]

Greedy answers. Of an image distorted in one region, whose first turn asks for a crop, the second turn is asked again
with other pictures: the place asked for, a random one of its size, the whole image, a place that misses the region, the
region itself. Then images of every kind are rated never looking (the first turn's rating counts), when asked, and
always (a look at the centre is put into the mouth of those that would not look), with the seconds each takes. Every
rating is kept by image, so that collect.py can compare policies over photographs.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoom_iqa.base.regions import area
from zoom_iqa.base.types import Ending, Generation, ImagePart, Region, Request, Rollout, Sample
from zoom_iqa.config.asked_policy import AskedPolicy, asked_policy
from zoom_iqa.evaluation.crop_places import PLACES, shown_at, with_last_images
from zoom_iqa.evaluation.looks import chance_of_a_hit
from zoom_iqa.metrics.evidence import hits
from zoom_iqa.tasks.reading import read_zoom_turn
from zoom_iqa.tasks.sessions import QuestionSession, request_of

BOX, TOOL = re.compile(r'("bbox_2d"\s*:\s*)\[[^\]]*\]'), re.compile(r'("tool"\s*:\s*)"\w+"')
CENTRE = "[0.3, 0.3, 0.7, 0.7]"
Answer = float | None


@dataclass(frozen=True)
class Setting:
    """A policy with its images, its answers timed."""

    asked: AskedPolicy

    @property
    def samples(self) -> Sequence[Sample]:
        return self.asked.samples

    def collected(self, sessions: Sequence[Any]) -> tuple[list[Rollout], float]:
        """The rollouts, and the CPU seconds of this thread that they took, every image seen for the first time."""
        self.asked.features.clear()
        begun = time.thread_time()
        return self.asked.collected(sessions), time.thread_time() - begun

    def question(self, sample: Sample, request: Request, turn: int) -> QuestionSession:
        """One turn alone, read as the protocol reads it."""
        prompts = self.asked.cfg.prompts
        sections = (prompts.sections_turn1, prompts.sections_turn2)[turn - 1]
        return QuestionSession(
            example=sample.example,
            index=0,
            request=request,
            read=lambda text: read_zoom_turn(text, sections=sections, final_only=turn == 2),
        )


def setting(policy_path: str, images: int, overrides: Sequence[str], *, local: float) -> Setting:
    chosen = [f"benchmark.local_fraction={local}", f"data.test.size={images}"]
    pristine = ["benchmark.pristine_fraction=0"] if local == 1 else []
    return Setting(asked_policy("quickstart", policy_path, [*chosen, *pristine, *overrides]))


def rating_of(rollout: Rollout) -> Answer:
    return rollout.rating if isinstance(rollout.rating, float) else None


def first_rating_of(rollout: Rollout) -> Answer:
    found = rollout.steps[0].reading.rating
    return found if isinstance(found, float) else None


def labels(sample: Sample) -> dict[str, Any]:
    example = sample.example
    return {"id": example.id, "photograph": example.reference_id, "mos": example.mos}


def regional(given: Setting) -> list[dict[str, Any]]:
    """A row for each image of one region that was looked at: its ratings with each picture in the crop's place."""
    rollouts, _ = given.collected(given.asked.opened())
    chosen: list[tuple[Sample, Rollout, Region, Region]] = []
    for sample, rollout in zip(given.samples, rollouts, strict=True):
        truth = sample.example.truth
        look = rollout.steps[0].looks[0].region if rollout.steps[0].looks else None
        if truth and truth.region and look and rollout.ending is Ending.FINAL and len(rollout.steps) == 2:
            chosen.append((sample, rollout, look, truth.region))
    rows = [
        {
            **labels(sample), "area": area(defect), "look_area": area(look), "hit": hits(defect, look),
            "chance": chance_of_a_hit(defect, look), "ratings": {},
        }
        for sample, _, look, defect in chosen
    ]  # fmt: skip
    for name, place_of in PLACES.items():
        sessions, numbers = [], []
        for number, (sample, rollout, look, defect) in enumerate(chosen):
            place = place_of(look, defect, np.random.default_rng(number))
            if place is None:
                continue
            prompt = rollout.steps[1].request.prompt
            crop = [part for message in prompt for part in message.parts if isinstance(part, ImagePart)][-1]
            if name != "asked":
                prompt = with_last_images(prompt, [shown_at(sample.image, place, crop.image.size)])
            request = request_of(prompt, example=sample.example, index=0, seed=0, turn=2, name="again")
            sessions.append(given.question(sample, request, 2))
            numbers.append(number)
        found, _ = given.collected(sessions)
        for number, rollout in zip(numbers, found, strict=True):
            rows[number]["ratings"][name] = rating_of(rollout)
    return rows


def when_to_look(given: Setting) -> dict[str, Any]:
    """Ratings of images of every kind never looking, when asked and always, and the seconds an image takes."""
    rollouts, seconds_asked = given.collected(given.asked.opened())
    requests = [session.next_request() for session in given.asked.opened()]
    questions = [given.question(sample, one, 1) for sample, one in zip(given.samples, requests, strict=True)]
    _, seconds_never = given.collected(questions)
    forced, numbers = [], []
    for number, (session, rollout) in enumerate(zip(given.asked.opened(), rollouts, strict=True)):
        text = rollout.steps[0].generation.text
        if len(rollout.steps) == 1 and BOX.search(text) and TOOL.search(text):
            request = session.next_request()
            told = TOOL.sub(r'\1"crop"', BOX.sub(rf"\g<1>{CENTRE}", text))
            session.submit(Generation(request.key, told, (), (), (), "stop"))
            forced.append(session)
            numbers.append(number)
    after, seconds_more = given.collected(forced)
    always = {number: rating_of(rollout) for number, rollout in zip(numbers, after, strict=True)}
    rows = [
        {
            **labels(sample), "regional": bool(sample.example.truth and sample.example.truth.region),
            "looked": rollout.cropped,
            "ratings": {
                "never": first_rating_of(rollout),
                "when asked": rating_of(rollout),
                "always": always.get(number, rating_of(rollout)),
            },
        }
        for number, (sample, rollout) in enumerate(zip(given.samples, rollouts, strict=True))
    ]  # fmt: skip
    each = len(given.samples)
    seconds = {"never": seconds_never, "when asked": seconds_asked, "always": seconds_asked + seconds_more}
    return {"rows": rows, "seconds": {name: value / each for name, value in seconds.items()}}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument("overrides", nargs="*", help="of the config, such as benchmark.local_area=[0.05,0.30]")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--regional", type=int, default=680, help="images distorted in one region")
    parser.add_argument("--images", type=int, default=680, help="of every kind")
    args = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    found = {
        "regional": regional(setting(args.policy, args.regional, args.overrides, local=1.0)),
        "when": when_to_look(setting(args.policy, args.images, args.overrides, local=0.25)),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

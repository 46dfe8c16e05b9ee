"""How far does assess, edit, assess again get, and is the gain real? See README.md.

python experiments/refine/refine_study.py embedded > experiments/refine/embedded.csv
python experiments/refine/refine_study.py livewild > experiments/refine/livewild.csv
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchmetrics.functional.image import structural_similarity_index_measure

from zoom_iqa.base.errors import ImageError
from zoom_iqa.config.assessor import Assessor
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.photographs import load_photograph
from zoom_iqa.data.images import load_image
from zoom_iqa.evaluation.assessment import Assessment
from zoom_iqa.evaluation.assessor import ImageAssessor
from zoom_iqa.evaluation.refinement import EmbeddedRestorer, refine
from zoom_iqa.peers.niqe import NIQE
from zoom_iqa.tasks.tools.restore import EDITS, edited

IMAGES, SAMPLES, TURNS, LEAST_GAIN = 30, 4, 3, 0.02
SEED = 0


@dataclass(frozen=True)
class Case:
    name: str
    defect: str
    image: Image.Image
    pristine: Image.Image | None


def main() -> None:
    torch.set_num_threads(1)
    judge = Assessor(samples=SAMPLES, device="cpu", workers=0)
    rng = np.random.default_rng(SEED)
    columns: list[str] | None = None
    for case in {"embedded": embedded, "livewild": livewild}[sys.argv[1]]():
        row = measured(case, judge, rng)
        if columns is None:
            columns = list(row)
            print(",".join(columns))
        csv.DictWriter(sys.stdout, columns, lineterminator="\n").writerow(row)
        sys.stdout.flush()


def measured(case: Case, judge: ImageAssessor, rng: np.random.Generator) -> dict[str, object]:
    start, reader, again = judge.assess(case.image), judge.drawn_anew(), judge.drawn_anew(2)
    found = refine(
        case.image,
        start,
        judge=judge.assess_many,
        reader=reader.assess_many,
        editor=EmbeddedRestorer(alone=True),
        turns=TURNS,
        least_gain=LEAST_GAIN,
    )
    singles = {name: edited(case.image, name, None) for name in EDITS}
    outcomes = [one for one in judge.assess_many(list(singles.values())) if isinstance(one, Assessment)]
    rated = {name: mean_of(one) for name, one in zip(singles, outcomes, strict=True)}
    means = {name: mean for name, mean in rated.items() if mean is not None}
    best = max(means, key=lambda name: means[name])
    drawn = str(rng.choice(list(EDITS)))
    first = mean_of(start)
    images = (case.image, found.image, singles[best], singles[drawn])
    read = [mean_of(again.assess(image)) for image in images]
    row: dict[str, object] = {
        "image": case.name,
        "defect": case.defect,
        "start": first,
        "gain": found.gain,
        "kept": " > ".join(turn.kept for turn in found.rounds if turn.kept),
        "tried": sum(len(turn.tried) for turn in found.rounds),
        "gain_read_again": difference(read[1], read[0]),
        "best_edit": best,
        "best_gain": difference(means[best], first),
        "best_gain_read_again": difference(read[2], read[0]),
        "random_edit": drawn,
        "random_gain": difference(rated[drawn], first),
        "random_gain_read_again": difference(read[3], read[0]),
        "niqe_before": niqe(case.image),
        "niqe_after": niqe(found.image),
        "psnr_to_input": psnr(found.image, case.image),
        "ssim_to_input": ssim(found.image, case.image),
    }
    if case.pristine is not None:
        closest = max(singles, key=lambda name: psnr(singles[name], case.pristine))  # type: ignore[arg-type]
        row |= {
            "psnr_before": psnr(case.image, case.pristine),
            "psnr_after": psnr(found.image, case.pristine),
            "ssim_before": ssim(case.image, case.pristine),
            "ssim_after": ssim(found.image, case.pristine),
            "closest_edit": closest,
            "psnr_closest_edit": psnr(singles[closest], case.pristine),
        }
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}


def embedded() -> Iterator[Case]:
    """Test photographs, an equal share of types and levels, all over or in a region, as the benchmark makes them."""
    images = EmbeddedSet(
        split="test",
        size=IMAGES,
        seed=SEED,
        local_fraction=0.25,
        pristine_fraction=0.06,
        procedural_fraction=0.0,
        references=None,
        continuous_levels=False,
        augmented=False,
    )
    for index, recipe in enumerate(images.recipes):
        sample = images[index]
        defect = "pristine" if recipe.kind is None else f"{recipe.kind.name} {recipe.level:g}"
        yield Case(sample.example.id, defect, sample.image, Image.fromarray(load_photograph(recipe.photograph)))


def livewild() -> Iterator[Case]:
    """Real photographs of LIVE In the Wild, evenly over its list."""
    folder = Path(os.environ.get("ZOOM_IQA_DATA", "data")) / "livec" / "Images"
    files = sorted(folder.rglob("*.jpg")) + sorted(folder.rglob("*.JPG"))
    for path in files[:: max(1, len(files) // IMAGES)][:IMAGES]:
        yield Case(path.name, "", load_image(path, max_pixels=None), None)


def mean_of(assessment: Assessment) -> float | None:
    return None if assessment.expected is None else assessment.expected.mean


def difference(after: float | None, before: float | None) -> float | str:
    """Empty where one of the two could not be read."""
    return "" if after is None or before is None else after - before


def niqe(image: Image.Image) -> float | str:
    try:
        return NIQE().score(image)
    except ImageError:
        return ""


def psnr(one: Image.Image, other: Image.Image) -> float:
    """In dB; images that are equal have 100."""
    error = float(((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2).mean())
    return 100.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def ssim(one: Image.Image, other: Image.Image) -> float:
    first, second = (torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double() for image in (one, other))
    found = structural_similarity_index_measure(first, second, data_range=255.0)
    assert isinstance(found, torch.Tensor)
    return float(found)


if __name__ == "__main__":
    main()

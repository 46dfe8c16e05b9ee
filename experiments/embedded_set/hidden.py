"""How much of a distorted region is left in a downsized view: RMS difference to the pristine image inside the region.

python experiments/embedded_set/hidden.py
"""

from __future__ import annotations

import cv2
import numpy as np

from zoom_iqa.data.distortions import DISTORTIONS
from zoom_iqa.data.embedded.images import LOCAL_LEVELS, LOCAL_NUMBERS
from zoom_iqa.data.embedded.photographs import load_photograph, photographs
from zoom_iqa.data.embedded.region import choose_region, distort_region

VIEW = 4  # the full view has 1/4 of each side: 128 x 96 of 512 x 384


def rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a.astype(float) - b) ** 2)))


def shrink(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return cv2.resize(image, (width // VIEW, height // VIEW), interpolation=cv2.INTER_AREA)


def main() -> None:
    names = [name for name, split in photographs().items() if split == "val"]
    print("| type | native crop, levels 3 / 4 / 5 | 1/4 view, levels 3 / 4 / 5 |\n| --- | --- | --- |")
    for kind in (kind for kind in DISTORTIONS if kind.number in LOCAL_NUMBERS):
        native, viewed = [], []
        for level in LOCAL_LEVELS:
            at_native, at_view = [], []
            for seed, name in enumerate(names):
                image, rng = load_photograph(name), np.random.default_rng(seed)
                region = choose_region(image, (0.45, 0.45), rng)
                out = distort_region(image, kind=kind, level=level, region=region, rng=rng)
                height, width = image.shape[:2]
                x1, y1, x2, y2 = (round(v * s) for v, s in zip(region, (width, height) * 2, strict=True))
                at_native.append(rms(out[y1:y2, x1:x2], image[y1:y2, x1:x2]))
                inside = np.s_[y1 // VIEW : y2 // VIEW, x1 // VIEW : x2 // VIEW]
                at_view.append(rms(shrink(out)[inside], shrink(image)[inside]))
            native.append(f"{np.mean(at_native):.1f}")
            viewed.append(f"{np.mean(at_view):.1f}")
        print(f"| {kind.name} | {' / '.join(native)} | {' / '.join(viewed)} |")


if __name__ == "__main__":
    cv2.setNumThreads(0)
    main()

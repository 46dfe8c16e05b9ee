"""Words for each of KADID-10k's 25 distortions: what it is, seen closely, and what would be there without it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """``noun`` names it in a word or two, ``phrase`` describes it, ``ideal`` names its absence in positive words."""

    noun: str
    phrase: str
    ideal: str


DEFECTS: dict[str, Defect] = {
    "gaussian_blur": Defect("blur", "soft, even blur", "crisp edges"),
    "lens_blur": Defect("defocus", "out-of-focus blur", "sharp focus"),
    "motion_blur": Defect("motion blur", "blur streaked in one direction", "steady detail"),
    "color_diffusion": Defect("colour bleeding", "colours bleeding across edges", "clean colour edges"),
    "color_shift": Defect("colour fringes", "colour fringes along edges", "aligned colours"),
    "color_quantization": Defect("posterised colour", "colours reduced to flat patches", "smooth colour gradients"),
    "color_saturation_1": Defect("faded colour", "washed-out, greyish colours", "full colours"),
    "color_saturation_2": Defect("garish colour", "oversaturated, garish colours", "natural colours"),
    "jpeg2000": Defect("smeared texture", "smearing and ringing of wavelet compression", "clear texture"),
    "jpeg": Defect("blocking", "blocks and ringing of JPEG compression", "smooth surfaces"),
    "white_noise": Defect("noise", "random noise grain", "clean surfaces"),
    "white_noise_color_component": Defect("colour noise", "blotchy colour noise", "clean colours"),
    "impulse_noise": Defect("speckles", "scattered black and white specks", "clean pixels"),
    "multiplicative_noise": Defect("bright grain", "grain that grows with brightness", "clean highlights"),
    "denoise": Defect("oil-paint look", "detail smeared by denoising", "lifelike texture"),
    "brighten": Defect("overexposure", "blown, overexposed tones", "balanced highlights"),
    "darken": Defect("underexposure", "dark, underexposed tones", "open shadows"),
    "mean_shift": Defect("shifted tone", "all tones moved off balance", "true tones"),
    "jitter": Defect("jagged detail", "detail scattered pixel by pixel", "coherent detail"),
    "non_eccentricity_patch": Defect("misplaced patches", "small patches copied to wrong places", "intact structure"),
    "pixelate": Defect("pixelation", "coarse, visible pixels", "fine resolution"),
    "quantization": Defect("banding", "tones broken into bands", "smooth gradients"),
    "color_block": Defect("colour blocks", "solid blocks of foreign colour", "an unbroken scene"),
    "high_sharpen": Defect("halos", "halos of oversharpening", "natural edges"),
    "contrast_change": Defect("wrong contrast", "unbalanced contrast", "balanced contrast"),
}

PRISTINE = Defect("no defect", "no visible defect", "rich fine detail")

"""Every kind of file a person may have: what comes out, or which error."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from zoom_iqa.base.errors import ImageError
from zoom_iqa.data.images import load_image, shown_image
from zoom_iqa.tasks.tools.crop import viewable

PIXELS = 1_000_000


def load(path: Path, max_pixels: int = PIXELS) -> np.ndarray:
    image = load_image(path, max_pixels=max_pixels)
    assert image.mode == "RGB"
    return np.asarray(image)


def quadrants() -> Image.Image:
    """40 x 20: red, green / blue, white."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:10, :20], pixels[:10, 20:], pixels[10:, :20], pixels[10:, 20:] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
    )
    return Image.fromarray(pixels)


def test_plain_png_is_unchanged(tmp_path: Path) -> None:
    quadrants().save(tmp_path / "a.png")
    np.testing.assert_array_equal(load(tmp_path / "a.png"), np.asarray(quadrants()))


# Where red, the top left quadrant of the upright image, is stored under each EXIF orientation.
@pytest.mark.parametrize(
    ("orientation", "operation"),
    [
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, operation: Image.Transpose) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    for name in ("a.png", "a.jpg", "a.webp"):
        quadrants().transpose(operation).save(tmp_path / name, exif=exif, quality=100)
        loaded = load_image(tmp_path / name, max_pixels=PIXELS)
        assert loaded.size == (40, 20)
        np.testing.assert_array_equal(np.asarray(shown_image(loaded, max_pixels=PIXELS)), np.asarray(loaded))  # once
    np.testing.assert_array_equal(load(tmp_path / "a.png"), np.asarray(quadrants()))
    for mode in ("RGB", "L", "RGBA", "CMYK"):  # as they lie in the file, not compressed
        quadrants().convert(mode).transpose(operation).save(tmp_path / "a.tif", exif=exif)
        np.testing.assert_array_equal(load(tmp_path / "a.tif"), np.asarray(quadrants().convert(mode).convert("RGB")))


DAMAGED_EXIF = {
    "no TIFF header": b"Exif\0\0MM\0\xff\0\0\0\x08\0\0",
    "orientation is a text": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0",
    "orientation is 77": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x4d\0\0\0\0\0\0",
    "directory beyond the end": b"Exif\0\0MM\0*\xff\xff\xff\xff",
    "cut off": b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12",
    "empty": b"Exif\0\0",
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", DAMAGED_EXIF)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_exif_decides_nothing(tmp_path: Path, suffix: str, kind: str) -> None:
    plain, damaged = tmp_path / f"plain.{suffix}", tmp_path / f"damaged.{suffix}"
    quadrants().save(plain)
    quadrants().save(damaged, exif=DAMAGED_EXIF[kind])
    np.testing.assert_array_equal(load(damaged), load(plain))


def test_damaged_exif_says_nothing_beside_the_results(tmp_path: Path) -> None:
    path = tmp_path / "damaged.jpg"
    quadrants().save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40)
    program = "import sys; from zoom_iqa.data.images import load_image; load_image(sys.argv[1], max_pixels=None)"
    ended = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert ended.stderr == ""


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_flipped_bytes_of_exif_leave_the_pixels(tmp_path: Path, suffix: str) -> None:
    exif, path, draw = Image.Exif(), tmp_path / f"a.{suffix}", random.Random(0)
    exif[0x010F], exif[0x0132] = "a maker", "2020:01:01 00:00:00"
    quadrants().save(path, exif=exif)
    pixels, good = load(path), path.read_bytes()
    start = good.index(b"MM\0*")
    for _ in range(200):
        data = bytearray(good)
        for _ in range(3):
            data[start + draw.randrange(len(exif.tobytes()) - 6)] = draw.randrange(256)
        path.write_bytes(data)
        assert load(path).shape in ((20, 40, 3), (40, 20, 3))  # turned where the bytes now say so
        assert np.sort(load(path), axis=None).tolist() == np.sort(pixels, axis=None).tolist()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"tEXt", b"comment\0good")[:-1] + b"\0",  # a checksum that is not its own
        png_chunk(b"zTXt", b"comment\0\0not compressed"),
        png_chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(70_000_000))),  # grows to more than Pillow allows
        png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(70_000_000))),
        png_chunk(b"pHYs", b"1"),
        png_chunk(b"gAMA", b""),
    ],
)
@pytest.mark.parametrize("before_the_pixels", [True, False])
def test_damaged_chunks_of_a_png_decide_nothing(tmp_path: Path, chunk: bytes, before_the_pixels: bool) -> None:
    exif, path = Image.Exif(), tmp_path / "a.png"
    exif[274] = 3
    quadrants().transpose(Image.Transpose.ROTATE_180).save(path, exif=exif)
    content = path.read_bytes()
    place = content.index(b"IDAT" if before_the_pixels else b"IEND") - 4
    path.write_bytes(content[:place] + chunk + content[place:])
    np.testing.assert_array_equal(load(path), np.asarray(quadrants()))


def test_a_profile_of_garbage_falls_back_to_the_formula(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.tif", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(load(tmp_path / "a.tif")[0, 0], (255, 0, 0))


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(touched) (w) file\n%%EOF\n"


@pytest.mark.parametrize("name", ["a.eps", "a.png", "a.jpg"])
def test_formats_that_start_a_foreign_program_are_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*arguments: object, **settings: object) -> None:
        raise AssertionError(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", start)
    (tmp_path / name).write_bytes(POSTSCRIPT)
    with pytest.raises(ImageError, match=r"not an image of a known format \(JPEG, PNG, "):
        load_image(tmp_path / name, max_pixels=PIXELS)


def test_a_tiff_of_numbers_that_no_decoder_takes_is_still_called_one(tmp_path: Path) -> None:
    tags = [(256, 4, 2), (257, 4, 2), (258, 3, 32), (259, 3, 1), (262, 3, 2), (273, 4, 110), (277, 3, 3), (339, 3, 3)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    header = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    (tmp_path / "float.tif").write_bytes(header.ljust(110, b"\0") + bytes(2 * 2 * 3 * 4))
    with pytest.raises(ImageError, match=r"float.tif: a TIFF that is damaged, or has colours of 32 bits; save it with"):
        load(tmp_path / "float.tif")


def test_a_git_lfs_pointer_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ImageError, match=r"a\.png is a git-lfs pointer, .*`git lfs pull`"):
        load_image(tmp_path / "a.png", max_pixels=PIXELS)


def test_any_bytes_are_no_image(tmp_path: Path) -> None:
    """Formats without a signature, such as TGA, would be read from them."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.tga")
    with pytest.raises(ImageError, match="known format"):
        load_image(tmp_path / "a.tga", max_pixels=PIXELS)


@pytest.mark.parametrize("name", ["\x1b[31mred.png", "two\nlines.png", "\u202egnp.exe", "x" * 5000, "nul\0.png"])
def test_odd_names_are_one_printable_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError) as raised:
        load_image(tmp_path / name, max_pixels=PIXELS)
    assert str(raised.value).isprintable()


def test_cmyk_without_a_profile_follows_the_plain_formula(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(load(tmp_path / "a.tif"), np.full((4, 4, 3), (255, 0, 0)))


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    quadrants().resize((160, 80), Image.Resampling.NEAREST).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    pixels = load(tmp_path / "a.jpg").astype(int)
    for y, x, color in (
        (20, 40, (255, 0, 0)),
        (20, 120, (0, 255, 0)),
        (60, 40, (0, 0, 255)),
        (60, 120, (255, 255, 255)),
    ):
        assert np.abs(pixels[y, x] - color).max() < 12


def test_an_unusable_cmyk_profile_falls_back_to_the_formula(tmp_path: Path) -> None:
    rgb_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.tif", icc_profile=rgb_profile)
    np.testing.assert_array_equal(load(tmp_path / "a.tif")[0, 0], (255, 0, 0))


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(ImageError, match=r"locked\.png: it may not be read by this user"):
        load_image(tmp_path / "locked.png", max_pixels=None)


def test_sixteen_bit_colour_is_scaled(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">HHH", 65535, 257 * 100, 0)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
    assert load(tmp_path / "a.png")[0, 0].tolist() == [255, 100, 0]


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    pixels = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 128]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert load(tmp_path / "a.png")[0].tolist() == [[255, 255, 255], [255, 0, 0], [127, 127, 127]]


def test_transparent_palette_entry_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert load(tmp_path / "a.png")[0].tolist() == [[255, 255, 255], [0, 0, 255]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "YCbCr"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "YCbCr" else "png"
    Image.new("RGB", (16, 16), "white").convert(mode).save(tmp_path / f"a.{suffix}")
    assert load(tmp_path / f"a.{suffix}").min() >= 254


@pytest.mark.parametrize("suffix", ["gif", "webp", "tif", "png"])
def test_first_frame_of_several(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    assert np.abs(load(tmp_path / f"a.{suffix}")[4, 4].astype(int) - (255, 0, 0)).max() < 8


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png")
    assert load(tmp_path / "a.png", max_pixels=1).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize(("size", "max_pixels"), [((300, 200), 5000), ((1, 900), 100), ((900, 1), 1), ((50, 50), 2500)])
def test_pixels_are_bounded_and_the_aspect_kept(tmp_path: Path, size: tuple[int, int], max_pixels: int) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    height, width, _ = load(tmp_path / "a.png", max_pixels).shape
    assert 0.9 * max_pixels <= width * height <= max_pixels or min(size) == 1
    assert width * height <= max_pixels
    if min(size) > 1:
        assert width / height == pytest.approx(size[0] / size[1], rel=0.02)


def test_a_rotated_large_jpeg_is_reduced_and_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (4000, 1000), "red").save(tmp_path / "a.jpg", exif=exif)
    height, width, _ = load(tmp_path / "a.jpg", 40_000).shape
    assert (width, height) == (100, 400)


@pytest.mark.parametrize("size", [(1990, 10), (10, 1990), (4000, 20), (597, 3), (200, 1), (201, 1), (16_000, 80)])
@pytest.mark.parametrize("max_pixels", [199, 300, 450, 1000, 20_000])
def test_reducing_makes_no_image_too_thin_for_the_tower(tmp_path: Path, size: tuple[int, int], max_pixels: int) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    shown = load_image(tmp_path / "a.png", max_pixels=max_pixels)
    assert viewable(*shown.size) or not viewable(*size)
    assert shown.width * shown.height <= max_pixels


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"hello, not an image", "known format"), (b"\xff\xd8\xff\xe0", "known format|decoded")],
)
def test_unreadable_files_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"bad\.jpg.*({reason})"):
        load_image(path, max_pixels=PIXELS)


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match=r"pipe\.jpg: a pipe or a device is no image"):
        load(tmp_path / "pipe.jpg")


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
        load_image(tmp_path / "gone.png", max_pixels=PIXELS)
    with pytest.raises(ImageError, match=str(tmp_path)):
        load_image(tmp_path, max_pixels=PIXELS)


@pytest.mark.parametrize("name", ["ring.png", "a\0b.png", "x" * 300])
def test_a_name_that_leads_to_no_file_is_told_as_that(tmp_path: Path, name: str) -> None:
    os.symlink("ring.png", tmp_path / "ring.png")
    with pytest.raises(ImageError, match=r": it leads to no file \(.+\); name one$"):
        load_image(tmp_path / name, max_pixels=PIXELS)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "jp2"])
def test_truncated_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    load(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(ImageError, match=r"cut\."):
        load_image(path, max_pixels=PIXELS)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tif"])
def test_damaged_bytes_give_an_image_or_a_named_error(tmp_path: Path, suffix: str) -> None:
    path, draw = tmp_path / f"odd.{suffix}", random.Random(0)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path)
    good, messages = path.read_bytes(), []
    for _ in range(40):
        data = bytearray(good)
        for _ in range(4):
            data[draw.randrange(min(len(data), 150))] = draw.randrange(256)
        path.write_bytes(data)
        try:
            load(path)
        except ImageError as error:
            messages.append(str(error))
    assert messages
    assert all(f"odd.{suffix}" in message for message in messages)


def test_huge_png_is_refused_with_its_size_and_a_remedy(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)
    with pytest.raises(ImageError, match=r"huge\.png: 20000 x 20000 pixels.*baseline JPEG"):
        load_image(tmp_path / "huge.png", max_pixels=PIXELS)


def test_huge_jpeg_opens_in_bounded_memory(tmp_path: Path) -> None:
    Image.new("L", (20_000, 20_000), 200).save(tmp_path / "huge.jpg")
    code = (
        "import resource, sys\n"
        "from zoom_iqa.data.images import load_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "image = load_image(sys.argv[1], max_pixels=786432)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(image.size, image.getpixel((5, 5)), (after - before) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "huge.jpg")], capture_output=True, text=True, check=True
    )
    size, pixel, megabytes = done.stdout.strip().rsplit(") ", 2)
    assert (size + ")", pixel + ")") == ("(886, 886)", "(200, 200, 200)")
    assert int(megabytes) < 150


def test_huge_progressive_jpeg_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    Image.new("L", (64, 64)).save(path, progressive=True)
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc2")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 20_000, 20_000)
    path.write_bytes(data)
    with pytest.raises(ImageError, match="20000 x 20000 pixels"):
        load_image(path, max_pixels=PIXELS)

"""Chat messages as an OpenAI-compatible server takes them, with images as data URIs, and as a log keeps them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

from PIL.Image import Image, Resampling

from zoom_iqa.base.types import ImagePart, Message, TextPart

ImageForm = Callable[[Image], str]


def chat_messages(messages: Sequence[Message], image_form: ImageForm) -> list[dict[str, Any]]:
    """Messages in the protocol's form; text alone is a plain string, which every server takes."""
    return [{"role": message.role, "content": _content(message, image_form)} for message in messages]


def data_uri(image: Image, *, max_pixels: int) -> str:
    """A PNG of at most ``max_pixels`` pixels, aspect ratio kept: a JPEG would add what is to be judged."""
    file = io.BytesIO()
    bounded(image, max_pixels=max_pixels).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def size_alone(image: Image) -> str:
    """The form for logs, such as ``640x480``."""
    return f"{image.width}x{image.height}"


def bounded(image: Image, *, max_pixels: int) -> Image:
    """The image, reduced (Lanczos) where it has more than ``max_pixels`` pixels."""
    width, height = image.size
    if width * height <= max_pixels:
        return image
    scale = (max_pixels / (width * height)) ** 0.5
    return image.resize((max(1, int(width * scale)), max(1, int(height * scale))), resample=Resampling.LANCZOS)


def _content(message: Message, image_form: ImageForm) -> str | list[dict[str, Any]]:
    texts = [part.text for part in message.parts if isinstance(part, TextPart)]
    if len(texts) == len(message.parts):
        return "".join(texts)
    return [_part(part, image_form) for part in message.parts]


def _part(part: TextPart | ImagePart, image_form: ImageForm) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": image_form(part.image)}}

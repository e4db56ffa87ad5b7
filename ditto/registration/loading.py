"""Files to pictures: a photograph, or the frames of a short video, judged by what they hold and not by their name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np

from .crop import Rgb
from .register import MOST_FRAMES, FaceError

MAX_BYTES: Final = 200_000_000
MAX_PIXELS: Final = 50_000_000
_IMAGES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8")


def load_pictures(path: Path, most: int = -1) -> list[Rgb]:
    """RGB frames of the file, at most `most` where it is above 0. Raises `FaceError` in words, `OSError`."""
    if path.stat().st_size > MAX_BYTES:
        raise FaceError("unreadable", f"{path.name} is larger than {MAX_BYTES // 10**6} MB.")
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return [_image(path)]
    return _video(path, most if most > 0 else MOST_FRAMES + 1)


def _image(path: Path) -> Rgb:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise FaceError("unreadable", f"{path.name} has more than {MAX_PIXELS // 10**6} megapixels.")
            return np.ascontiguousarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except FaceError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise FaceError("unreadable", f"{path.name} is damaged or cut short ({type(error).__name__}).") from None


def _video(path: Path, most: int) -> list[Rgb]:
    frames: list[Rgb] = []
    try:
        with av.open(str(path)) as file:
            if not file.streams.video:
                raise FaceError("unreadable", f"{path.name} has no picture.")
            for frame in file.decode(video=0):
                if frame.width * frame.height > MAX_PIXELS:
                    raise FaceError("unreadable", f"{path.name} has more than {MAX_PIXELS // 10**6} megapixels.")
                frames.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                if len(frames) >= most:
                    break
    except av.error.FFmpegError as error:
        if not frames:
            raise FaceError("unreadable", f"{path.name} is neither a picture nor a video: {error.strerror}.") from None
    if not frames:
        raise FaceError("unreadable", f"{path.name} holds no picture.")
    return frames


def shrunk(picture: Rgb, side: int) -> Rgb:
    """The picture with its longer side at most `side`, both sides even."""
    height, width = picture.shape[:2]
    share = min(1.0, side / max(height, width))
    size = (max(2, round(width * share) // 2 * 2), max(2, round(height * share) // 2 * 2))
    if size == (width, height):
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)

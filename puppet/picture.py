"""Untrusted bytes → an upright RGB picture.

A file is judged by its header before a pixel of it is decoded, so that a small file which unpacks to gigabytes costs
nothing. Only formats that browsers show are opened at all.
"""

from __future__ import annotations

import io
import warnings
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

Rgb = npt.NDArray[np.uint8]
"""Shape (height, width, 3)."""

MAX_BYTES: Final = 20_000_000
MAX_PIXELS: Final = 50_000_000
"""The largest sensors of common cameras; decoded it is 150 MB."""
MAX_SIDE: Final = 16_384
"""WebP's own limit: nothing longer is a portrait."""
_MAX_SCANS: Final = 100
"""Scans of a progressive JPEG: encoders write about ten. Each is a pass over all pixels, and a file holds thousands."""
_ENOUGH: Final = 4096
"""Long side from which a JPEG is decoded at a half or a quarter: a face cut out of it is still sharp at 1024."""
_BACKGROUND: Final = (208, 211, 216)
"""Behind transparent pictures: a light neutral grey, as in a photographer's studio."""
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP")

Problem = Literal["too_large", "unsupported_media", "no_face", "face_too_small", "face_turned", "face_cut_off"]

# Strangers' pictures would otherwise write Pillow's advice to developers into the log.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class PictureError(ValueError):
    """Why a picture cannot be used: a code for programs and a sentence for a person."""

    def __init__(self, code: Problem, message: str) -> None:
        super().__init__(message)
        self.code: Final = code
        self.message: Final = message


def _open(data: bytes) -> Image.Image:
    """The header, read and judged."""
    if len(data) > MAX_BYTES:
        raise PictureError("too_large", f"The picture is larger than {MAX_BYTES // 10**6} MB.")
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        raise PictureError("unsupported_media", "HEIC pictures cannot be read: save the picture as JPEG or PNG.")
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise PictureError("too_large", f"The picture has more than {MAX_PIXELS // 10**6} megapixels.") from None
    except UnidentifiedImageError:
        raise PictureError(
            "unsupported_media", "This is not a picture in a format that can be read: use JPEG, PNG or WebP."
        ) from None
    except Exception:  # the parsers of damaged headers raise whatever they stumble over
        raise PictureError("unsupported_media", "The picture's header is damaged: save it again.") from None
    _judge(image)
    if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > _MAX_SCANS:
        raise PictureError("unsupported_media", "The JPEG has too many scans: save it again as a plain one.")
    return image


def _judge(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError(
            "too_large",
            f"The picture has {width} × {height} pixels; the limit is {MAX_PIXELS // 10**6} megapixels.",
        )
    if max(width, height) > MAX_SIDE:
        raise PictureError(
            "too_large", f"The picture has {width} × {height} pixels; no side may be longer than {MAX_SIDE}."
        )


def _to_srgb(image: Image.Image) -> Image.Image:
    """Through the picture's own colour profile where it has one: phones write Display P3, scanners Adobe RGB."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        converted = None  # a profile that does not fit its picture is common; the plain colours are close
    return image.convert("RGB") if converted is None else converted


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to 8-bit RGB, transparency over the neutral background."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        # 16-bit greys come in several modes, 32-bit ones too; all of them span 0 to 65535 in the formats read here.
        grey = np.clip(values / (257 if values.max(initial=0) > 255 else 1), 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        alpha = layer.getchannel("A")
        colours = layer.convert("RGB")
        colours.info = dict(image.info)
        ground = Image.new("RGB", image.size, _BACKGROUND)
        ground.paste(_to_srgb(colours), mask=alpha)
        return ground
    return _to_srgb(image)


def decode(data: bytes) -> Rgb:
    """The picture in `data`, upright and in sRGB; of an animation, its first image.

    Formats: JPEG, PNG, WebP, AVIF, GIF, BMP. Huge JPEGs come back at a half or a quarter of their size.
    Raises `PictureError` (`too_large`, `unsupported_media`).
    """
    image = _open(data)
    try:
        image.draft("RGB" if image.mode != "CMYK" else "CMYK", (_ENOUGH, _ENOUGH))
        image.load()
        _judge(image)
        try:
            upright = ImageOps.exif_transpose(image)
        except Exception:  # damaged EXIF: the picture itself is fine
            upright = image
        rgb = np.ascontiguousarray(_to_rgb(upright), np.uint8)
    except PictureError:
        raise
    except MemoryError:
        raise PictureError("too_large", "The picture needs more memory than there is.") from None
    except Exception:  # decoders of damaged files raise whatever they stumble over
        raise PictureError("unsupported_media", "The picture is damaged or cut short: save it again.") from None
    return rgb

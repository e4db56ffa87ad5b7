from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from puppet.picture import MAX_BYTES, PictureError, decode


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png(width: int, height: int, body: bytes, depth: int = 8, kind: int = 2) -> bytes:
    """A PNG by hand, so that its header can lie."""

    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """Left red, right blue, top bright: its turns can be told apart."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, :40], pixels[:, 40:] = (200, 20, 20), (20, 20, 200)
    pixels[:15] += 50
    return Image.fromarray(pixels)


def problem(data: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        decode(data)
    assert caught.value.message.endswith(".")
    return caught.value.code


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP"])
def test_formats(scene: Image.Image, format: str) -> None:
    rgb = decode(encoded(scene, format))
    assert rgb.shape == (60, 80, 3)
    assert np.abs(rgb[40, 20].astype(int) - (200, 20, 20)).max() < 30


@pytest.mark.parametrize("format", ["TIFF", "PPM", "ICO", "TGA", "PDF", "EPS"])
def test_formats_that_no_browser_shows_are_not_opened(scene: Image.Image, format: str) -> None:
    assert problem(encoded(scene, format)) == "unsupported_media"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation(scene: Image.Image, orientation: int, format: str) -> None:
    undo: dict[int, Image.Transpose] = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = scene.transpose(undo[orientation]) if orientation > 1 else scene
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = decode(encoded(stored, format, exif=exif))
    assert rgb.shape == (60, 80, 3)
    assert np.abs(rgb.astype(int) - np.asarray(scene)).mean() < 12


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_no_reason_to_refuse(scene: Image.Image) -> None:
    assert decode(encoded(scene, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")).shape == (60, 80, 3)


def test_transparency_lies_over_a_neutral_ground() -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    for image in (clear, clear.convert("LA")):
        assert tuple(decode(encoded(image, "PNG"))[5, 5]) == (208, 211, 216)
    palette = Image.new("P", (20, 20), 3)
    palette.putpalette([v for i in range(256) for v in (i, 0, 0)])
    assert tuple(decode(encoded(palette, "PNG", transparency=3))[5, 5]) == (208, 211, 216)


def test_sixteen_bits() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(4, 0)
    rgb = decode(encoded(Image.fromarray(ramp), "PNG"))
    assert np.abs(rgb[0, :, 1].astype(int) - np.linspace(0, 255, 64)).max() <= 1
    colour = np.frombuffer(struct.pack(">3H", 65535, 32768, 0) * 4, np.uint8).tobytes()
    body = zlib.compress(b"".join(b"\x00" + colour for _ in range(4)))
    assert np.abs(decode(png(4, 4, body, depth=16))[0, 0].astype(int) - (255, 128, 0)).max() <= 1


def test_other_modes(scene: Image.Image) -> None:
    red = np.array((200, 20, 20))
    assert np.abs(decode(encoded(scene.convert("CMYK"), "JPEG"))[40, 20] - red).max() < 40
    assert np.abs(decode(encoded(scene.quantize(16), "PNG"))[40, 20] - red).max() < 20
    assert decode(encoded(scene.convert("L"), "JPEG")).shape == (60, 80, 3)
    assert decode(encoded(scene.convert("1"), "PNG")).shape == (60, 80, 3)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_image(format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("#00c000", "#0000c0")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=40)
    green = decode(data)[16, 16]
    assert green[1] > 150 and green[2] < 60


def test_colour_profile() -> None:
    """A profile that swaps nothing leaves the colours, one that does not fit is left out."""
    image = Image.new("RGB", (16, 16), (10, 200, 30))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(decode(encoded(image, "PNG", icc_profile=profile))[3, 3].astype(int) - (10, 200, 30)).max() <= 2
    assert tuple(decode(encoded(image, "PNG", icc_profile=b"nonsense"))[3, 3]) == (10, 200, 30)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert tuple(decode(encoded(image, "PNG", icc_profile=lab))[3, 3]) == (10, 200, 30)


def test_what_is_no_picture() -> None:
    zipped = b"PK\x03\x04" + bytes(200)
    for data in (b"", b"hello, I am a text file\n" * 50, zipped, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"):
        assert problem(data) == "unsupported_media"
    with pytest.raises(PictureError, match="HEIC"):
        decode(b"\x00\x00\x00\x18ftypheic" + bytes(64))
    assert problem(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "unsupported_media"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_cut_short(scene: Image.Image, format: str) -> None:
    data = encoded(scene.resize((640, 480)), format)
    assert problem(data[: len(data) // 2]) == "unsupported_media"


def test_flipped_bytes_never_escape_as_another_error(scene: Image.Image) -> None:
    random = np.random.default_rng(2)
    for format in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP"):
        whole = np.frombuffer(encoded(scene, format), np.uint8)
        for _ in range(60):
            broken = whole.copy()
            broken[random.integers(0, len(broken), 4)] = random.integers(0, 256, 4)
            try:
                assert decode(broken.tobytes()).shape[2] == 3
            except PictureError as error:
                assert error.code in ("unsupported_media", "too_large")


def test_too_large_is_judged_by_the_header() -> None:
    """Nothing of these could be decoded: their bodies are empty. What refuses them is the header alone."""
    assert problem(png(20_000, 20_000, b"")) == "too_large"
    assert problem(png(8_000, 6_300, b"")) == "too_large"
    assert problem(png(20_000, 100, b"")) == "too_large"
    assert problem(png(2**31 - 1, 2**31 - 1, b"")) == "too_large"
    assert problem(b"\x00" * (MAX_BYTES + 1)) == "too_large"
    assert problem(b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b"," + bytes(20)) == "too_large"


def test_a_body_that_unpacks_to_more_than_the_header_says() -> None:
    bomb = zlib.compress(bytes(64_000_000), 9)
    assert len(bomb) < 100_000
    try:
        assert decode(png(8, 8, bomb)).shape == (8, 8, 3)
    except PictureError as error:
        assert error.code == "unsupported_media"


def test_a_jpeg_of_a_thousand_scans(scene: Image.Image) -> None:
    data = encoded(scene, "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    assert problem(data[:scan] + data[scan:-2] * 200 + data[-2:]) == "unsupported_media"

"""Turns a character's drawing into the bitmaps that `puppet.character` moves. A build step, not part of the service:

    pip install cairosvg==2.9.1
    python -m puppet.rasterise [NAME …]

`assets/NAME/drawing.svg` has the groups bg, hair_back, body, head, eyes, brows, mouth and hair_front, back to front, in
a square view box. Written beside it: `back.png` (bg, hair_back and body, opaque), `head.png` and `hair.png` (with
alpha), and `weights.png`, 128 × 128: where the plate moves with the head (red) and with the breath (green). The groups
eyes, brows and mouth show the rest pose to whoever edits the drawing; the renderer draws its own.
"""

from __future__ import annotations

import copy
import logging
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .renderer import MAX_SIDE

ASSETS = Path(__file__).parent / "assets"
SVG = "http://www.w3.org/2000/svg"
GRID = 128
"""Side of the weights: they are smooth, so a coarse grid holds them."""
OVERSAMPLING = 2
"""Edges are rendered at twice the size and averaged: CairoSVG's own antialiasing shows seams between shapes."""

log = logging.getLogger("puppet.rasterise")


def render(drawing: ET.Element, groups: tuple[str, ...], side: int) -> npt.NDArray[np.uint8]:
    """The named groups as premultiplied BGRA of `side` × `side` pixels."""
    import cairosvg  # type: ignore[import-not-found, import-untyped, unused-ignore]

    kept = copy.deepcopy(drawing)
    for child in list(kept):
        if child.tag == f"{{{SVG}}}g" and child.get("id") not in groups:
            kept.remove(child)
    png = cairosvg.svg2png(
        bytestring=ET.tostring(kept), output_width=side * OVERSAMPLING, output_height=side * OVERSAMPLING
    )
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    if decoded.shape[2] == 3:  # nothing in it is transparent
        decoded = cv2.cvtColor(decoded, cv2.COLOR_BGR2BGRA)
    straight = decoded.astype(np.float32)
    straight[:, :, :3] *= straight[:, :, 3:] / 255
    small: npt.NDArray[np.uint8] = np.rint(cv2.resize(straight, (side, side), interpolation=cv2.INTER_AREA)).astype(
        np.uint8
    )
    return small


def straight_alpha(premultiplied: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Premultiplied BGRA to the straight alpha that PNG stores."""
    alpha = premultiplied[:, :, 3:].astype(np.float32)
    colour = premultiplied[:, :, :3] * (255 / np.maximum(alpha, 1))
    return np.dstack([np.clip(np.rint(colour), 0, 255), alpha]).astype(np.uint8)


def rasterise(folder: Path) -> None:
    ET.register_namespace("", SVG)
    drawing = ET.parse(folder / "drawing.svg").getroot()
    png = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    cv2.imwrite(str(folder / "back.png"), render(drawing, ("bg", "hair_back", "body"), MAX_SIDE)[:, :, :3], png)
    cv2.imwrite(str(folder / "head.png"), straight_alpha(render(drawing, ("head",), MAX_SIDE)), png)
    cv2.imwrite(str(folder / "hair.png"), straight_alpha(render(drawing, ("hair_front",), MAX_SIDE)), png)
    masks = []
    for group in ("hair_back", "body"):
        mask = render(drawing, (group,), GRID)[:, :, 3]
        # Grown before it is blurred, so that the silhouette itself moves in full and only its surroundings fade.
        mask = cv2.dilate(mask, np.ones((5, 5), np.uint8))
        masks.append(cv2.GaussianBlur(mask, (0, 0), 1.6))
    cv2.imwrite(str(folder / "weights.png"), cv2.merge([np.zeros_like(masks[0]), masks[1], masks[0]]), png)
    log.info("%s: %d kB", folder.name, sum(p.stat().st_size for p in folder.glob("*.png")) // 1000)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in sys.argv[1:] or [p.parent.name for p in sorted(ASSETS.glob("*/drawing.svg"))]:
        rasterise(ASSETS / name)

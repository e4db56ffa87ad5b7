"""Whether an ONNX file is the network that its name says: inputs and outputs as published (§8.8), before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import BadCheckpoint
from .layout import NETS, Layout

Shape = tuple[int | None, ...]

_POINTS: Shape = (1, 21, 3)
INPUTS: dict[str, tuple[Shape, ...]] = {
    "appearance_extractor": ((1, 3, 256, 256),),
    "motion_extractor": ((1, 3, 256, 256),),
    "stitch_network": (_POINTS, _POINTS),
    "warp_network": ((1, None, None, 64, 64), _POINTS, _POINTS),
    "decoder": ((1, None, 64, 64),),
    "lmdm": ((1, 80, 265), (1, 265), (1, 80, 1103), (1,)),
    "hubert": ((1, None),),
    "landmark203": ((1, 3, 224, 224),),
    "insightface_det": ((1, 3, None, None),),
    "landmark106": ((1, 3, 192, 192),),
    "blaze_face": ((1, 128, 128, 3),),
    "face_mesh": ((1, 256, 256, 3),),
}
"""None: any size."""
_OUTPUTS = {"appearance_extractor": (1,), "motion_extractor": (7,), "insightface_det": (9,), "stitch_network": (1,)}
"""How many, where that tells networks apart."""


def suits(net: str, session: Any, path: Path) -> None:
    """Raises `BadCheckpoint` where an opened file is another network, or one of another version."""
    found = [_shape(value) for value in session.get_inputs()]
    wanted = INPUTS[net]
    alike = len(found) == len(wanted) and all(_fits(a, b) for a, b in zip(found, wanted, strict=True))
    outputs = len(session.get_outputs())
    if not alike or outputs not in _OUTPUTS.get(net, (outputs,)):
        raise BadCheckpoint(
            f"{path} is no {net} of this model: it takes {_words(found)} and gives {outputs} outputs; expected is "
            f"{_words(wanted)}. Is it another network's file?"
        )


def check(layout: Layout) -> None:
    """Opens every ONNX file of a checkpoint once: whole, the right ones, and of one size. Raises `BadCheckpoint`."""
    from .backends.onnxrt import open_session, warp_model

    sizes: dict[str, tuple[Shape, Shape]] = {}
    for name, path in layout.files.items():
        if path.suffix != ".onnx" or name not in INPUTS:
            continue
        opened = open_session(warp_model(path) if name == "warp_network" else path, "cpu", 1, optimise=False)
        suits(name, opened, path)
        if name in NETS:
            sizes[name] = _shape(opened.get_inputs()[0]), _shape(opened.get_outputs()[0])
    for giver, taker in (("appearance_extractor", "warp_network"), ("warp_network", "decoder")):
        if giver in sizes and taker in sizes and not _fits(sizes[giver][1], sizes[taker][0]):
            raise BadCheckpoint(
                f"{layout.files[giver]} and {layout.files[taker]} are of different checkpoints: one gives "
                f"{_words([sizes[giver][1]])}, the other takes {_words([sizes[taker][0]])}. Fetch both from one place."
            )


def _shape(value: Any) -> Shape:
    return tuple(size if isinstance(size, int) else None for size in value.shape or ())


def _fits(found: Shape, wanted: Shape) -> bool:
    if len(found) != len(wanted):
        return False
    return all(a is None or b is None or a == b for a, b in zip(found, wanted, strict=True))


def _words(shapes: Any) -> str:
    return " and ".join("[" + ",".join("?" if size is None else str(size) for size in shape) + "]" for shape in shapes)

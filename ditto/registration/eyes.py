"""How open the eyes are and where they look, from 478 points (§2.6)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_OPEN = (((145, 159), (144, 160), (153, 158)), (33, 133)), (((374, 386), (373, 387), (380, 385)), (263, 362))
"""For the left and the right eye: pairs across it, and its corners."""
_IRIS = (468, 473)
_SMALL = 1e-8


def eye_open(points: Floats) -> Floats:
    """[n,2] of points [n,478,3]: left, right."""
    sides = []
    for pairs, corners in _OPEN:
        across = sum(np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in pairs)
        sides.append(across / (np.linalg.norm(points[:, corners[0]] - points[:, corners[1]], axis=-1) + _SMALL))
    return np.asarray(np.stack(sides, -1), np.float32)


def eye_ball(points: Floats) -> Floats:
    """[n,6] of points [n,478,3]: x of the left eye and the right, y, z."""
    moves = []
    for iris, (_, (outer, inner)) in zip(_IRIS, _OPEN, strict=True):
        off = points[:, iris] - (points[:, outer] + points[:, inner]) / 2
        far = np.linalg.norm(off, axis=-1, keepdims=True)
        axis = points[:, outer] - points[:, inner]
        along = axis / (np.linalg.norm(axis, axis=-1, keepdims=True) + _SMALL)
        moves.append((off / (far + _SMALL) - along) * far)
    return np.asarray(np.stack(moves, -1).reshape(len(points), 6), np.float32)

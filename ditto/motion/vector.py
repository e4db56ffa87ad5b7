"""The motion vector and its mathematics: 265 numbers a frame, 21 key points of a face.

Layout of a vector (specification §1): `[scale − 1 | pitch 66 | yaw 66 | roll 66 | t 3 | exp 63]`. An angle is 66 logits
over bins of 3°, −97.5° to 97.5°.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Info = dict[str, Array]
"""The parts of one frame's motion: `scale` [1,1], `pitch`, `yaw`, `roll` [1,66], `t` [1,3], `exp` [1,63] and, of a
source's frame, `kp` [1,63]. An angle of shape [1] is in degrees already."""

SIZE = 265
POINTS = 21
PARTS: Mapping[str, slice] = {
    "scale": slice(0, 1),
    "pitch": slice(1, 67),
    "yaw": slice(67, 133),
    "roll": slice(133, 199),
    "t": slice(199, 202),
    "exp": slice(202, 265),
}
ANGLES = ("pitch", "yaw", "roll")
BINS = 66
_DEGREES = (np.arange(BINS, dtype=np.float32) * 3).astype(np.float32)


def join(info: Mapping[str, Array]) -> Array:
    """The vector [265] of one frame's parts."""
    out = np.concatenate([np.asarray(info[name], np.float32).reshape(-1) for name in PARTS])
    out[0] -= 1
    return out


def split(vector: Array) -> Info:
    """The parts of one vector [265]; copies."""
    info = {name: np.array(vector[part], np.float32)[None] for name, part in PARTS.items()}
    info["scale"] += 1
    return info


def clip(vectors: Array, limits: Array | None) -> Array:
    """Vectors [..., 265] within `limits` [≥ 2, 265]: lowest and highest. Only what is emitted is clipped (§5.4)."""
    if limits is None:
        return vectors
    return np.clip(vectors, limits[0].astype(np.float32), limits[1].astype(np.float32))


def degrees(angle: Array) -> Array:
    """Degrees [n] of logits [n,66]; an angle that is not two-dimensional with 66 columns is in degrees already."""
    if angle.ndim != 2 or angle.shape[1] != BINS:
        return angle
    shifted = np.exp(angle - angle.max(axis=1, keepdims=True))
    weights = shifted / shifted.sum(axis=1, keepdims=True)
    return np.asarray((weights * _DEGREES).sum(axis=1) - np.float32(97.5), np.float32)


def rotation(pitch: Array, yaw: Array, roll: Array) -> Array:
    """Rotation matrices [n,3,3] of angles [n] in degrees: (R_z(roll) · R_y(yaw) · R_x(pitch)) transposed."""
    x, y, z = (np.asarray(a, np.float32).reshape(-1) / np.float32(180) * np.float32(np.pi) for a in (pitch, yaw, roll))
    one, nought = np.ones_like(x), np.zeros_like(x)

    def matrix(rows: list[list[Array]]) -> Array:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    rx = matrix([[one, nought, nought], [nought, cx, -sx], [nought, sx, cx]])
    ry = matrix([[cy, nought, sy], [nought, one, nought], [-sy, nought, cy]])
    rz = matrix([[cz, -sz, nought], [sz, cz, nought], [nought, nought, one]])
    return np.asarray((rz @ ry @ rx).transpose(0, 2, 1), np.float32)


def transform(info: Mapping[str, Array]) -> Array:
    """Key points [1,21,3] of one frame: scale · (kp · R + exp), moved by t in the picture's plane (§6.2)."""
    turn = rotation(*(degrees(info[name]) for name in ANGLES))
    kp = np.asarray(info["kp"], np.float32).reshape(-1, POINTS, 3)
    exp = np.asarray(info["exp"], np.float32).reshape(-1, POINTS, 3)
    points = (kp @ turn + exp) * np.asarray(info["scale"], np.float32).reshape(-1, 1, 1)
    points[:, :, :2] += np.asarray(info["t"], np.float32).reshape(-1, 1, 3)[:, :, :2]
    return np.asarray(points, np.float32)


def smooth(vectors: Array, window: int, first: int = 0, last: int | None = None, dims: int | None = None) -> Array:
    """`vectors` [n,d] with frames `first` to `last` replaced by the mean over a centred window, cut short at the ends.

    Only the first `dims` columns change. Every mean is taken over the values before the pass (§5.3).
    """
    out = vectors.copy()
    if window <= 1:
        return out
    n, half = len(vectors), window // 2
    for i in range(max(0, first), n if last is None else min(n, last)):
        out[i, :dims] = vectors[max(0, i - half) : min(n, i + half + 1), :dims].mean(axis=0, dtype=np.float32)
    return out


def mirror(index: int, size: int) -> int:
    """The frame of a video of `size` frames that is played to and fro; the ends are shown twice (§2.8)."""
    turn, at = divmod(index, size)
    return at if turn % 2 == 0 else size - 1 - at

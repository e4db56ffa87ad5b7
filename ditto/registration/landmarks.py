"""106 and 203 points on a face (§2.3, §2.5). The weights of the first network are for research only."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .crop import Matrix, Points, Rgb, move
from .detector import Box
from .nets import Net

SIDE_106, SIDE_203 = 192, 224
Floats = npt.NDArray[np.float32]


def view_106(box: Box) -> npt.NDArray[np.float32]:
    """[2,3]: from the picture to the square that the network sees."""
    s = SIDE_106 / (1.5 * box.side)
    cx, cy = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    return np.array([[s, 0, SIDE_106 / 2 - s * cx], [0, s, SIDE_106 / 2 - s * cy]], np.float32)


def input_106(picture: Rgb, box: Box) -> Floats:
    """[1,3,192,192], 0 to 255, blue first as the detector."""
    seen = cv2.warpAffine(picture, view_106(box), (SIDE_106, SIDE_106), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(seen[:, :, ::-1].astype(np.float32).transpose(2, 0, 1)[None])


def points_106(raw: Floats, box: Box) -> Points:
    """The network's output in pixels of the picture."""
    pairs = (raw.reshape(-1, 2)[-106:] + 1) * (SIDE_106 / 2)
    back = cv2.invertAffineTransform(view_106(box))
    return np.asarray(pairs @ back[:, :2].T + back[:, 2], np.float32)


def input_203(cut: Rgb) -> Floats:
    """[1,3,224,224], 0 to 1, of the 224-pixel crop."""
    return np.ascontiguousarray(cut.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255))


def points_203(raw: Floats, to_frame: Matrix) -> Points:
    """The network's output in pixels of the picture."""
    return move(raw.reshape(-1, 2) * np.float32(SIDE_203), to_frame)


class Landmarks106:
    def __init__(self, net: Net) -> None:
        self._net = net

    def place(self, picture: Rgb, box: Box) -> Points:
        return points_106(self._net(input_106(picture, box))[0], box)


class Landmarks203:
    """The file of the PyTorch bundle has three outputs, the points last; the other bundle has the points alone."""

    def __init__(self, net: Net) -> None:
        self._net = net

    def place(self, cut: Rgb, to_frame: Matrix) -> Points:
        outputs = self._net(input_203(cut))
        wanted = [out for out in outputs if out.size == 406]
        if not wanted:
            raise ValueError("The landmark network gives no 203 points: is landmark203.onnx another model?")
        return points_203(wanted[-1], to_frame)

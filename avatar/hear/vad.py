"""Is this a voice? Silero VAD v6, frame by frame.

The ONNX file is the one inside the faster-whisper wheel (MIT, https://github.com/snakers4/silero-vad), which the
requirements pin. Its graph takes 512 new samples at 16 kHz behind the last 64 of the frame before, and carries an LSTM
state; one frame costs about 0.05 ms on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import NotReady
from ..types import Pcm

FRAME = 512
"""Samples at 16 kHz that one decision covers (32 ms): the only frame length this model was made for."""
_CONTEXT = 64
"""Samples of the previous frame that the graph sees in front of each frame."""
_STATE = (1, 1, 128)


@cache
def _session() -> Any:
    """The graph, shared by all streams: `run` may be called from any thread."""
    package = find_spec("faster_whisper")
    if package is None or package.origin is None:
        raise NotReady("Voice detection needs the faster-whisper package: pip install -r requirements.txt.")
    model = Path(package.origin).parent / "assets" / "silero_vad_v6.onnx"
    if not model.is_file():
        raise NotReady(f"The voice detector {model.name} is not in the installed faster-whisper: reinstall it.")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Frames are tiny and come one by one: a second thread costs more to wake than it computes.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


class Vad:
    """The voice detector of one stream."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.reset()

    @classmethod
    def load(cls) -> Callable[[], Vad]:
        """Loads the shared model (once per process) and returns what makes a detector for each stream.

        Raises `NotReady` where the model is not installed.
        """
        session = _session()
        cls(session).probability(np.zeros(FRAME, np.int16))  # the first run allocates: not in anyone's first word
        return lambda: cls(session)

    def reset(self) -> None:
        """Forgets what it has heard."""
        self._h: npt.NDArray[np.float32] = np.zeros(_STATE, np.float32)
        self._c: npt.NDArray[np.float32] = np.zeros(_STATE, np.float32)
        self._input: npt.NDArray[np.float32] = np.zeros((1, _CONTEXT + FRAME), np.float32)

    def probability(self, frame: Pcm) -> float:
        """How likely it is, 0 to 1, that these 512 samples (16 kHz, following the last ones) hold a voice."""
        self._input[0, :_CONTEXT] = self._input[0, -_CONTEXT:]
        np.multiply(frame, np.float32(1 / 32768), out=self._input[0, _CONTEXT:])
        speech, self._h, self._c = self._session.run(None, {"input": self._input, "h": self._h, "c": self._c})
        return float(speech[0])

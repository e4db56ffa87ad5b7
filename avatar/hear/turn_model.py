"""Has the speaker finished? Smart Turn v3.2, asked in a pause.

The model (BSD-2-Clause, Daily; https://github.com/pipecat-ai/smart-turn) hears prosody and words in the last 8 s and
gives the probability that the turn is complete. `python -m checkpoints.fetch turn` brings it; without it the silence
alone decides. One question costs about 50 ms of a core.

Its input is Whisper's log-mel spectrogram (Radford et al. 2022, arXiv 2212.04356, section 2.2) of the waveform brought
to zero mean and unit variance: 80 bands, 800 frames of 10 ms, silence in front of what is shorter.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import NotReady
from ..types import Pcm
from .resample import RATE

log = logging.getLogger(__name__)

FILE = Path("turn") / "smart-turn-v3.2-cpu.onnx"
"""Below the directory of fetched models."""
WINDOW = 8 * RATE
"""Samples that the model looks at: the newest."""
_HOP, _FFT, _BANDS, _FRAMES = 160, 400, 80, 800

Features = npt.NDArray[np.float32]
_HANN: Features = np.hanning(_FFT + 1)[:-1].astype(np.float32)


@cache
def _bank() -> Features:
    from faster_whisper.feature_extractor import FeatureExtractor

    bank: Features = FeatureExtractor.get_mel_filters(RATE, _FFT, n_mels=_BANDS).astype(np.float32)
    return bank


def features(pcm: Pcm) -> Features:
    """The model's input for sound at 16 kHz that ends in the pause, shape (80, 800)."""
    wave = pcm[-WINDOW:].astype(np.float32) / 32768
    wave = np.pad(wave, (WINDOW - len(wave), 0))
    wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
    padded = np.pad(wave, _FFT // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP][:_FRAMES]
    power = np.abs(np.fft.rfft(windows * _HANN, axis=1)) ** 2
    mel = np.log10(np.maximum(_bank() @ power.T, 1e-10))
    scaled: Features = ((np.maximum(mel, mel.max() - 8) + 4) / 4).astype(np.float32)
    return scaled


class TurnModel:
    """The loaded model, shared by all sessions; one thread of its own."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, "turn")

    @classmethod
    def load(cls, data_dir: Path) -> TurnModel | None:
        """The model below `data_dir`, None where it has not been fetched. Blocks for about 0.2 s. Raises `NotReady`
        where the file is there and is no such model."""
        path = data_dir / FILE
        if not path.is_file():
            return None
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # The faces need the other cores, and 50 ms within a pause are early enough.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            model = cls(session)
            model.judge(np.zeros(RATE, np.int16))
        except Exception as error:
            raise NotReady(f"{path} is not the turn model: {error}. Remove it, so that it is fetched anew.") from error
        return model

    def judge(self, pcm: Pcm) -> float:
        """Blocks: the probability, 0 to 1, that the turn is complete whose sound at 16 kHz ends in a pause."""
        answer = self._session.run(None, {"input_features": features(pcm)[None]})
        return float(np.clip(answer[0].ravel()[0], 0.0, 1.0))

    async def complete(self, pcm: Pcm) -> float:
        """`judge`, beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.judge, pcm)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

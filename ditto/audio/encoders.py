"""HuBERT behind one small interface: the published streaming ONNX file, or a checkpoint that `transformers` reads.

Hsu et al. 2021, arXiv:2106.07447. The published file was made from `facebook/hubert-large-ls960-ft` with a fixed
context for short windows; plain HuBERT of the same width gives features of the same meaning and, on short windows, a
little other ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .features import WIDTH, Encoder, Rows, Sound


class OnnxEncoder:
    """`hubert.onnx`, `hubert_streaming_fix_kv.onnx`: takes [1,L], gives [rows,1024] or [1,rows,1024]."""

    def __init__(self, path: Path, threads: int = 0, providers: list[str] | None = None) -> None:
        """Raises `ValueError` in words for a file that cannot be used."""
        from ..registration.nets import session

        self._session = session(path, threads, providers)
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ValueError(f"{path.name} has {len(inputs)} inputs; HuBERT has one, the sound.")
        self._input = inputs[0].name

    def encode(self, windows: Sound) -> Rows:
        out = [self._session.run(None, {self._input: np.ascontiguousarray(w[None])})[0] for w in windows]
        return _checked(np.stack([rows.reshape(-1, rows.shape[-1]) for rows in out]), windows.shape[1])


class TransformersEncoder:
    """A directory with a HuBERT checkpoint of width 1024, read by `transformers`; nothing is downloaded."""

    def __init__(self, directory: Path, device: str = "cpu") -> None:
        """Raises `ValueError` in words for a directory that cannot be used."""
        import torch
        from transformers import HubertModel

        if not (directory / "config.json").is_file():
            raise ValueError(f"{directory} is no HuBERT checkpoint: there is no config.json.")
        try:
            self._model: Any = HubertModel.from_pretrained(str(directory), local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ValueError(f"{directory} cannot be read as HuBERT: {str(error).splitlines()[0][:200]}") from error
        if self._model.config.hidden_size != WIDTH:
            raise ValueError(
                f"The face needs HuBERT-large ({WIDTH} wide); this one is {self._model.config.hidden_size}."
            )
        self._torch = torch
        self._device = torch.device(device)
        self._model.eval().to(self._device)

    def encode(self, windows: Sound) -> Rows:
        torch = self._torch
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(windows)).to(self._device)
            out = self._model(given).last_hidden_state.float().cpu().numpy()
        return _checked(out, windows.shape[1])


def _checked(rows: Rows, samples: int) -> Rows:
    want = (samples - 80) // 320
    if rows.ndim != 3 or rows.shape[1] != want or rows.shape[2] != WIDTH:
        raise ValueError(
            f"The encoder gave {list(rows.shape)} for {samples} samples, not [{len(rows)},{want},{WIDTH}]: "
            "this is no HuBERT that the face was made for."
        )
    return np.asarray(rows, np.float32)


def load_encoder(path: Path, device: str = "cpu") -> Encoder:
    """The encoder in a file or a directory. Raises `ValueError` in words."""
    if path.suffix == ".onnx":
        providers = ["CUDAExecutionProvider", "CPUExecutionProvider"] if device.startswith("cuda") else None
        return OnnxEncoder(path, providers=_there(providers))
    return TransformersEncoder(path, device)


def _there(providers: list[str] | None) -> list[str] | None:
    if providers is None:
        return None
    import onnxruntime

    return [p for p in providers if p in onnxruntime.get_available_providers()]

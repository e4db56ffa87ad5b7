"""The auxiliary networks in ONNX Runtime, loaded when first asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..onnxfiles import suits

Net = Callable[[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]
"""One input, all outputs in the file's order."""


def session(path: Path, threads: int = 0, providers: list[str] | None = None) -> Any:
    """An ONNX Runtime session. Raises `ValueError` in words where the file cannot be used."""
    import onnxruntime

    if not path.is_file():
        raise ValueError(f"{path.name} is not there ({path.parent}).")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers or ["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no base of their own
        raise ValueError(unusable(path.name, error)) from error


def unusable(name: str, error: Exception) -> str:
    """What to tell a person of a file that the runtime does not take."""
    text = (str(error).splitlines() or [type(error).__name__])[0][:200]
    damaged = any(word in text for word in ("INVALID_PROTOBUF", "parsing", "parse", "Wire format", "DecodeError"))
    return f"{name} cannot be used: {text}{' It is damaged or cut short: fetch it again.' if damaged else ''}"


def onnx_net(path: Path, net: str) -> Net:
    """One of the published networks with one input, by its name. Raises `ValueError`, `BadCheckpoint` in words."""
    loaded = session(path)
    suits(net, loaded, path)
    name = loaded.get_inputs()[0].name
    return lambda value: [np.asarray(out, np.float32) for out in loaded.run(None, {name: value})]

"""The auxiliary networks in ONNX Runtime, loaded when first asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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
        raise ValueError(f"{path.name} cannot be used: {str(error).splitlines()[0][:200]}") from error


def onnx_net(path: Path) -> Net:
    """A network with one input. Raises `ValueError` in words."""
    loaded = session(path)
    name = loaded.get_inputs()[0].name
    return lambda value: [np.asarray(out, np.float32) for out in loaded.run(None, {name: value})]

"""What torch and ONNX Runtime say of a full or a vanished device, as the library's own errors. Imports neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import DeviceLost, DittoError, OutOfMemory

_FULL = ("out of memory", "Failed to allocate memory", "CUDNN_STATUS_ALLOC_FAILED")
_GONE = ("CUDA error", "CUDA failure")


def is_full(error: BaseException) -> bool:
    """Whether a library's error says that the device's memory is full."""
    return type(error).__name__ == "OutOfMemoryError" or any(word in str(error) for word in _FULL)


@contextmanager
def device_faults() -> Iterator[None]:
    """Raises `OutOfMemory` and `DeviceLost` in place of what the libraries raise; anything else passes."""
    try:
        yield
    except DittoError:
        raise
    except Exception as error:  # ONNX Runtime's are no RuntimeErrors
        text, kind = str(error), type(error).__name__
        if is_full(error):
            raise OutOfMemory(
                "The GPU has no memory left for this; close a session or choose smaller pictures."
            ) from error
        if kind == "AcceleratorError" or any(word in text for word in _GONE):
            raise DeviceLost(f"The GPU stopped working: {text.splitlines()[0]}") from error
        raise

"""Reads the published configurations, `ditto_cfg/*.pkl`, without running anything that is in them (specification §9).

A pickle is a program. The unpickler here admits plain containers, numbers, strings and numpy's arrays, and names what
else a file asks for.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .errors import BadCheckpoint

SECTIONS = ("base_cfg", "audio2motion_cfg", "default_kwargs")
LARGEST = 64 << 20
"""Bytes. The published files are below 100 kB; a reference character of a long video would still fit."""
MOST_ELEMENTS = 16 << 20
"""Of one array."""

_PLAIN = {"dict": dict, "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "bytes": lambda: b""}
"""Of Python's own types, those that hold data and cannot be asked for a terabyte by one number."""


class _Subtype:
    """Stands for `numpy.ndarray` where a pickle names it; makes no arrays of sizes that a file asks for."""


def _reconstruct(_subtype: Any, _shape: Any, _kind: Any) -> np.ndarray[Any, Any]:
    """The start of an array, as numpy pickles it; its shape and contents follow in a BUILD."""
    return np.empty((0,), np.int8)


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise pickle.UnpicklingError("a number of a type that holds objects")
    if not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise pickle.UnpicklingError("a number of the wrong size")
    return np.frombuffer(data, dtype)[0]


def _dtype(*arguments: Any) -> np.dtype[Any]:
    found = np.dtype(str(arguments[0]))
    if found.hasobject or found.fields:
        raise pickle.UnpicklingError(f"an array of {found}")
    return found


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise pickle.UnpicklingError("an array that holds objects")
    return np.frombuffer(bytes(data), dtype).reshape(shape, order=order).copy()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "ascii", "utf-8"):
        raise pickle.UnpicklingError("bytes in an unknown encoding")
    return text.encode(encoding)


_NUMPY: dict[str, Any] = {
    "_reconstruct": _reconstruct,
    "scalar": _scalar,
    "ndarray": _Subtype,
    "dtype": _dtype,
    "_frombuffer": _from_buffer,
}
_NUMPY_MODULES = {
    "numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric",
}  # fmt: skip


class Refused(pickle.UnpicklingError):
    """The pickle wants something that is not data."""


class Unpickler(pickle._Unpickler):  # the Python one: every opcode that could call something is ours to see
    """Admits data alone."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in _PLAIN:
            return _PLAIN[name]
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if module in _NUMPY_MODULES and name in _NUMPY:
            return _NUMPY[name]
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise Refused(f"{module}.{name}")

    def get_extension(self, code: int) -> Any:
        raise Refused(f"extension {code}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise Refused(f"persistent object {str(pid)[:40]}")


def _build(unpickler: Any) -> None:
    """BUILD, for numpy's types alone: anywhere else it would set attributes."""
    state = unpickler.stack.pop()
    held = unpickler.stack[-1]
    if isinstance(held, np.dtype):
        # (version, byte order, …): the order is all that a plain type has.
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            unpickler.stack[-1] = held.newbyteorder("<" if state[1] == "<" else ">")
        return
    if not isinstance(held, np.ndarray) or not isinstance(state, tuple) or len(state) != 5:
        raise Refused(f"the state of a {type(held).__name__}")
    _version, shape, dtype, fortran, data = state
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(data, bytes):
        raise Refused("an array that holds objects")
    count = int(np.prod(shape, dtype=np.int64)) if shape else 1
    if not 0 <= count <= MOST_ELEMENTS or count * dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {shape} with {len(data)} bytes")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy()
    unpickler.stack[-1] = array
    # What was memoised before its contents came is the same object in a pickle.
    for key, value in unpickler.memo.items():
        if value is held:
            unpickler.memo[key] = array


def _bytearray(unpickler: Any) -> None:
    """BYTEARRAY8: Python makes one of whatever size the file names before it looks whether so much follows."""
    size = int.from_bytes(unpickler.read(8), "little")
    data = unpickler.read(min(size, LARGEST))
    if len(data) != size:
        raise pickle.UnpicklingError(f"{size} bytes are named, {len(data)} follow")
    unpickler.append(bytearray(data))


Unpickler.dispatch = dict(pickle._Unpickler.dispatch)
Unpickler.dispatch[pickle.BUILD[0]] = _build
Unpickler.dispatch[pickle.BYTEARRAY8[0]] = _bytearray


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration: three sections of plain values and arrays."""

    base_cfg: Mapping[str, Any]
    """Where each network lies."""
    audio2motion_cfg: Mapping[str, Any]
    default_kwargs: Mapping[str, Any]
    """Options of a performance."""

    @property
    def online(self) -> bool:
        return bool(self.default_kwargs.get("online_mode", False))


def unpickle(data: bytes) -> Any:
    """The value of a pickle of plain data. Raises `Refused` for anything else, `UnpicklingError` for nonsense."""
    return Unpickler(io.BytesIO(data)).load()


def read_config(path: Path) -> Config:
    """A configuration file. Raises `BadCheckpoint`."""

    def bad(why: str) -> NoReturn:
        raise BadCheckpoint(f"The configuration {path} {why}")

    try:
        if path.stat().st_size > LARGEST:
            bad(f"is larger than {LARGEST >> 20} MB; it is no Ditto configuration.")
        data = path.read_bytes()
    except OSError as error:
        bad(f"cannot be read: {error.strerror or error}.")
    try:
        value = unpickle(data)
    except Refused as error:
        bad(
            f"asks for {error}: it is a program, not a configuration, and was not run. "
            "Fetch it again from its publisher."
        )
    except Exception as error:  # damaged pickles raise whatever the opcode they stop at raises
        bad(f"is damaged ({type(error).__name__}: {str(error)[:80]}). Fetch it again.")
    if not isinstance(value, dict) or not all(isinstance(value.get(name), dict) for name in SECTIONS):
        bad(f"has not the sections {', '.join(SECTIONS)}.")
    return Config(*(value[name] for name in SECTIONS))


def write_config(path: Path, config: Config) -> None:
    """The published form: a pickle of plain data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({name: dict(getattr(config, name)) for name in SECTIONS}, protocol=4))

"""Opens a published checkpoint: its configuration, its files, its networks, strictly (specification §8.9, §9)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import onnxfiles
from .config import Config, read_config
from .errors import BadCheckpoint
from .layout import NETS, Kind, Layout, find
from .motion.options import Options

if TYPE_CHECKING:
    from torch import nn

    from .backends.weights import Weights

LISTED = 3
"""Keys that a message names of those that are wrong."""
_SMALLEST = 1000
"""Bytes. Anything below is no file of weights: a pointer of a large-file store, or a page that says no."""


def read_state(path: Path) -> dict[str, Any]:
    """A `.pth` file's tensors by their keys. Runs nothing that is in the file. Raises `BadCheckpoint`."""
    import torch

    head = _head(path)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=head.startswith(b"PK"))
    except Exception as error:  # torch raises whatever the archive, the pickle or the file system raised
        text = str(error)
        if any(word in text for word in ("GLOBAL ", "Unsupported class", "TorchScript")):
            name = text.split("GLOBAL ", 1)[-1].split(" ", 1)[0] if "GLOBAL " in text else "code"
            raise BadCheckpoint(
                f"{path} asks for {name}: it holds a program, not weights alone, and was not run. "
                "Fetch it again from its publisher."
            ) from error
        raise BadCheckpoint(
            f"{path} is damaged or cut short ({path.stat().st_size:,} bytes). Fetch it again."
        ) from error
    for wrapper in ("model_state_dict", "state_dict", "retarget_shoulder"):
        if isinstance(value, Mapping) and isinstance(value.get(wrapper), Mapping):
            value = value[wrapper]
    if not isinstance(value, Mapping) or not value or not all(hasattr(v, "shape") for v in value.values()):
        raise BadCheckpoint(f"{path} holds no network's weights.")
    return {str(key).removeprefix("module."): tensor for key, tensor in value.items()}


def _head(path: Path) -> bytes:
    """The file's first bytes, where they can be those of weights."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be read: {error.strerror or error}.") from error
    if head.startswith(b"version https://git-lfs"):
        raise BadCheckpoint(
            f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull`, or fetch it again."
        )
    if head.lstrip()[:1] == b"<":
        raise BadCheckpoint(f"{path} is a web page: the download was answered with a message. Fetch it again.")
    if size < _SMALLEST or not head.strip(b"\0"):
        raise BadCheckpoint(f"{path} has {size:,} bytes and is no file of weights; its download did not finish.")
    return head


def fit(net: str, state: Mapping[str, Any], path: Path) -> nn.Module:
    """A network with these weights, float32, frozen. Its size is told by the weights. Raises `BadCheckpoint`."""
    import torch

    from .nets.family import FAMILY
    from .nets.widths import KNOWN

    faults: list[tuple[int, BadCheckpoint]] = []
    for widths in KNOWN:
        with torch.device("meta"):
            module: nn.Module = FAMILY[net](widths)
        fault = mismatch(net, module.state_dict(), state, path)
        if fault is None:
            tensors = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
            module.load_state_dict({k: tensors[k] for k in module.state_dict()}, strict=True, assign=True)
            _finite(tensors, path)
            module.eval().requires_grad_(False)
            module.size_name = widths.name
            return module
        faults.append(fault)
    # Of the sizes that there are, the one that the file is nearest to.
    raise min(faults, key=lambda found: found[0])[1]


def mismatch(
    net: str, wanted: Mapping[str, Any], state: Mapping[str, Any], path: Path
) -> tuple[int, BadCheckpoint] | None:
    """How many keys are wrong or have wrong shapes, and that as a sentence."""
    missing = [k for k in wanted if k not in state]
    surplus = [k for k in state if k not in wanted]
    if missing or surplus:
        parts = [f"{word} {_some(keys)}" for word, keys in (("lacks", missing), ("has", surplus)) if keys]
        text = f"{path} is no {net} of this model: it {' and '.join(parts)}. Is it another network's file?"
        return len(missing) + len(surplus), BadCheckpoint(text)
    wrong = [k for k in wanted if tuple(wanted[k].shape) != tuple(state[k].shape)]
    if wrong:
        key = wrong[0]
        shapes = f"{list(state[key].shape)}, not {list(wanted[key].shape)}"
        text = f"{path} is of another version: {key} has the shape {shapes} ({len(wrong)} keys differ)."
        return len(wrong), BadCheckpoint(text)
    odd = [k for k in wanted if not _plain(state[k], wanted[k])]
    if odd:
        text = f"{path} holds {_some(odd)} in a form that is no {net}'s (numbers of another type, or none at all)."
        return len(odd), BadCheckpoint(f"{text} Fetch it again.")
    return None


def _plain(tensor: Any, like: Any) -> bool:
    """Whether a tensor is one of plain numbers in memory, of the kind that its namesake has."""
    dense = str(tensor.layout) == "torch.strided" and tensor.device.type == "cpu"
    return dense and not tensor.is_quantized and tensor.is_floating_point() == like.is_floating_point()


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return f"{', '.join(keys[:LISTED])}{more}"


def _finite(state: Mapping[str, Any], path: Path) -> None:
    import torch

    bad = [k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if bad:
        raise BadCheckpoint(f"{path} holds numbers that are not finite ({_some(bad)}): it is damaged. Fetch it again.")


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint on disk. Networks are read when they are first asked for."""

    config: Config
    layout: Layout
    options: Options
    """Of a performance, as the configuration has them."""
    _sizes: dict[str, str] = field(default_factory=dict)
    """Network → the size that its weights have."""

    def file(self, name: str) -> Path | None:
        """An auxiliary network's file, None where the bundle has none."""
        return self.layout.files.get(name)

    def module(self, net: str) -> nn.Module:
        """A network of the PyTorch bundle. Raises `BadCheckpoint`."""
        if self.layout.kind is not Kind.PYTORCH:
            raise BadCheckpoint(f"{self.layout.root} is the ONNX bundle; export and engines are made of ditto_pytorch.")
        path = self.layout.need(net)
        module = fit(net, read_state(path), path)
        self._sizes[net] = str(module.size_name)
        other = next((n for n, size in self._sizes.items() if size != self._sizes[net]), None)
        if other is not None:
            raise BadCheckpoint(
                f"{path} and {self.layout.files[other]} are of different checkpoints: one is of the "
                f"{self._sizes[net]}, the other of the {self._sizes[other]} size. Fetch both from one place."
            )
        return module

    @cached_property
    def weights(self) -> Weights:
        """Warp and decoder, for a renderer. Raises `BadCheckpoint`."""
        from .backends.weights import Weights

        warp: Any = self.module("warp_network")
        decoder: Any = self.module("decoder")
        return Weights(warp, decoder)

    def check(self) -> None:
        """Reads every network once and drops it: whether all of them are whole and of one checkpoint.

        Raises `BadCheckpoint`."""
        onnxfiles.check(self.layout)
        if self.layout.kind is Kind.PYTORCH:
            for net in NETS:
                self.module(net)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when a file of the checkpoint does: by names, sizes and both ends of each file."""
        digest = hashlib.sha256()
        for name in sorted(self.layout.files):
            whole = self.layout.files[name]
            for path in sorted(p for p in whole.iterdir() if p.is_file()) if whole.is_dir() else [whole]:
                size = path.stat().st_size
                with path.open("rb") as file:
                    ends = file.read(1 << 16)
                    file.seek(max(0, size - (1 << 16)))
                    ends += file.read(1 << 16)
                digest.update(f"{name} {size} ".encode() + ends)
        return digest.hexdigest()[:16]


def open_checkpoint(cfg_pkl: Path, data_root: Path) -> Checkpoint:
    """A checkpoint as users' scripts name it. Raises `BadCheckpoint` with what to do."""
    config = read_config(cfg_pkl)
    try:
        options = Options.of(config.default_kwargs)
    except ValueError as error:
        raise BadCheckpoint(
            f"The configuration {cfg_pkl} cannot be used: {error} Mend it, or fetch it again from its publisher."
        ) from error
    return Checkpoint(config, find(config, data_root, cfg_pkl), options)

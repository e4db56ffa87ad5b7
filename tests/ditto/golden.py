"""Golden vectors: arrays that the original computed, read by what their directory's `manifest.json` says of itself.

`DITTO_GOLDEN=DIR` points at another directory of the same form; prefix, picture parameters, frame sizes, numbers of
steps, chunk configurations, scenarios, slices and tolerances all come from there. The set beside this file is a part of
the developers' set, chosen by `python -m tests.ditto.choose` (which says how).

An array of the manifest may be a slice of a tensor: `[:,::8,::16,::16]` of `full_shape`. `check` takes the whole
tensor, and passes over a name that the directory does not have.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ditto.deterministic import Deterministic, tri_image

Array = np.ndarray[Any, Any]

ROOT = Path(os.environ.get("DITTO_GOLDEN") or Path(__file__).parent / "golden")


def parse_slice(text: str) -> tuple[slice, ...]:
    """`[:,::8,2:10]` → slices."""

    def one(part: str) -> slice:
        numbers = [int(n) if n.strip() else None for n in part.split(":")]
        return slice(*numbers)

    return tuple(one(part) for part in text.strip().strip("[]").split(","))


@dataclass(frozen=True)
class Vectors:
    """One file's arrays."""

    file: str
    entries: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, Array]
    rule: Deterministic

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __iter__(self) -> Iterator[str]:
        """Names, without the statistics."""
        return (name for name in self.arrays if not name.endswith("__stats"))

    def matching(self, pattern: str) -> list[re.Match[str]]:
        """Full matches among the names, in the file's order."""
        return [m for name in self if (m := re.fullmatch(pattern, name))]

    def json(self, name: str) -> Any:
        """An array of bytes that holds JSON."""
        return json.loads(self[name].tobytes().decode())

    def note(self, name: str) -> str:
        return str(self.entries.get(name, {}).get("note", ""))

    def part(self, name: str, whole: Array) -> Array:
        """What of a whole tensor is stored under `name`."""
        entry = self.entries.get(name, {})
        if "slice" not in entry:
            return whole
        assert list(whole.shape) == entry["full_shape"], (
            f"{name}: {whole.shape}, the manifest has {entry['full_shape']}"
        )
        return np.asarray(whole[parse_slice(entry["slice"])])

    def input(self, name: str) -> Array:
        """An input made whole again: from its note `N("…",[…],scale)` or `U("…",[…],low,high)`, or as stored.

        What is stored of it is checked on the way.
        """
        whole = self._made(name)
        if whole is None:
            assert "slice" not in self.entries.get(name, {}), f"{name} is a slice, and its note has no recipe"
            return self[name]
        np.testing.assert_array_equal(self.part(name, whole), self[name], err_msg=name)
        return whole

    def _made(self, name: str) -> Array | None:
        entry = self.entries.get(name, {})
        match = re.match(r'([NU])\("([^"]+)"\s*,\s*(\[[\d,\s]*\]|\.\.\.)((?:\s*,[^,)]+)*)\)', self.note(name))
        if not match:
            return None
        kind, key, shape, rest = match.groups()
        dims = ast.literal_eval(shape) if shape != "..." else entry.get("full_shape", entry["shape"])
        numbers = [float(n) for n in re.findall(r"-?\d*\.?\d+(?:e-?\d+)?", rest)]
        return self.rule.normal(key, dims, *numbers) if kind == "N" else self.rule.uniform(key, dims, *numbers)

    def peak(self, name: str) -> float:
        """The whole tensor's largest magnitude."""
        if f"{name}__stats" in self.arrays:
            _mean, _std, low, high, _norm = self.arrays[f"{name}__stats"]
            return float(max(abs(low), abs(high)))
        return float(np.abs(self[name]).max(initial=0.0))

    def check(self, name: str, whole: Any, *, rel_max: float = 0.0, absolute: float = 0.0) -> None:
        """Fails unless |actual − stored| ≤ max(absolute, rel_max × the tensor's largest magnitude) everywhere."""
        if name not in self:
            return
        actual = np.asarray(whole.detach().cpu() if hasattr(whole, "detach") else whole)
        part, stored = self.part(name, actual), self[name]
        assert part.shape == stored.shape, f"{self.file} {name}: {part.shape}, stored {stored.shape}"
        bound = max(absolute, rel_max * self.peak(name))
        assert np.isfinite(part).all(), f"{self.file} {name}: not finite"
        worst = float(np.abs(part.astype(np.float64) - stored.astype(np.float64)).max(initial=0.0))
        assert worst <= bound, f"{self.file} {name}: off by {worst:.3g}, allowed {bound:.3g}"
        self._check_whole(name, actual, bound)

    def _check_whole(self, name: str, actual: Array, bound: float) -> None:
        """Mean, deviation and extremes of the whole tensor, so that no element goes unseen."""
        if f"{name}__stats" not in self.arrays:
            return
        wide = actual.astype(np.float64)
        found = np.array([wide.mean(), wide.std(), wide.min(), wide.max()])
        worst = float(np.abs(found - self.arrays[f"{name}__stats"][:4]).max())
        assert worst <= 2 * bound, f"{self.file} {name}: the whole tensor's statistics are off by {worst:.3g}"


@dataclass(frozen=True)
class Golden:
    """A directory of golden vectors."""

    root: Path = field(default=ROOT)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.root / "manifest.json").read_text(encoding="utf-8"))
        return loaded

    @cached_property
    def rule(self) -> Deterministic:
        return Deterministic(self.manifest["prefix"])

    @property
    def scenarios(self) -> dict[str, dict[str, Any]]:
        """Those whose arrays are in the directory."""
        stored = self.vectors("online_e2e")
        return {name: s for name, s in self.manifest["scenarios"].items() if f"{name}_motion" in stored}

    def tolerance(self, file: str, kind: str = "rel_max") -> float:
        return float(self.manifest["tolerances_fp32"][file][kind])

    def frame_size(self, file: str) -> tuple[int, int]:
        """(height, width)"""
        height, width = self.manifest["frame_size"][file]
        return int(height), int(width)

    def picture(self, height: int, width: int) -> Array:
        """The synthetic picture of this directory, RGB uint8."""
        return tri_image(height, width, **self.manifest["tri_image"])

    @cache  # noqa: B019 - one directory a process
    def vectors(self, file: str) -> Vectors:
        """The arrays of `file`.npz."""
        with np.load(self.root / f"{file}.npz", allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        return Vectors(file, self.manifest["arrays"][f"{file}.npz"], arrays, self.rule)


GOLDEN = Golden()

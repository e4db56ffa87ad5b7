"""How long each phoneme of an HTS voice will last, read from the duration model inside its `.htsvoice` file.

The engine takes the same numbers (hts_engine API 1.10, `HTS_SStreamSet_create` at speed 1): a decision tree over the
full-context label leads to a Gaussian per state, whose rounded mean is the state's length in frames. Reading them
costs a millisecond a clause; synthesising each label alone to measure it costs as much as speaking it.
"""

from __future__ import annotations

import fnmatch
import re
import struct
from collections.abc import Callable
from pathlib import Path

_QUESTION = re.compile(r"^QS\s+(\S+)\s*\{\s*(.*?)\s*\}\s*$", re.MULTILINE)
_NODE = re.compile(r'^\s*(-?\d+)\s+(\S+)\s+("[^"]+"|-?\d+)\s+("[^"]+"|-?\d+)\s*$', re.MULTILINE)
_TREE = re.compile(r"\{\*\}\[(\d+)\]\s*\{(.*?)\n\}", re.DOTALL)
_SINGLE = re.compile(r'\{\*\}\[(\d+)\]\s*("[^"]+")')

_Test = Callable[[str], bool]


class Durations:
    """The duration model of one voice."""

    def __init__(self, voice: Path) -> None:
        """Raises `ValueError` for a file that is not an HTS voice of version 1.0 with a single duration tree."""
        data = voice.read_bytes()
        head, separator, body = data.partition(b"\n[DATA]\n")
        if not separator:
            raise ValueError(f"{voice.name} is no HTS voice")
        text = head.decode("ascii", "replace")
        self.rate = int(_field(text, "SAMPLING_FREQUENCY"))
        """Hz."""
        self.period = int(_field(text, "FRAME_PERIOD"))
        """Samples in a frame."""
        self._states = int(_field(text, "NUM_STATES"))
        tree = body[_span(_field(text, "DURATION_TREE"))].decode("ascii", "replace")
        self._tests = {name: _any_of(patterns) for name, patterns in _QUESTION.findall(tree)}
        single = _SINGLE.search(tree)
        trees = _TREE.findall(tree)
        if len(trees) != 1 and single is None:
            raise ValueError(f"{voice.name} has {len(trees)} duration trees")
        nodes = _NODE.findall(trees[0][1]) if trees else []
        self._nodes = {node: (question, no, yes) for node, question, no, yes in nodes}
        self._root = "0" if trees else single[2] if single else ""
        self._leaves = self._read_leaves(body[_span(_field(text, "DURATION_PDF"))])

    def samples(self, label: str) -> int:
        """Length of the phoneme of a full-context label."""
        at = self._root
        while not at.startswith('"'):
            question, no, yes = self._nodes[at]
            at = yes if self._tests[question](label) else no
        return self._leaves[int(at.strip('"').rsplit("_", 1)[1]) - 1] * self.period

    def _read_leaves(self, pdf: bytes) -> list[int]:
        (count,) = struct.unpack_from("<I", pdf)
        size = 2 * self._states  # means, then variances
        lengths: list[int] = []
        for leaf in range(count):
            means = struct.unpack_from(f"<{self._states}f", pdf, 4 + 4 * size * leaf)
            lengths.append(sum(max(1, int(mean + 0.5)) for mean in means))
        return lengths


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{name}:(.*)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"the HTS voice does not say its {name}")
    return found[1].strip()


def _span(text: str) -> slice:
    first, last = text.split("-")
    return slice(int(first), int(last) + 1)


def _any_of(patterns: str) -> _Test:
    tests = [_matches(pattern) for pattern in re.findall(r'"([^"]*)"', patterns)]
    return lambda label: any(test(label) for test in tests)


def _matches(pattern: str) -> _Test:
    inner = pattern.removeprefix("*").removesuffix("*")
    if "*" not in inner and "?" not in inner and pattern.startswith("*") and pattern.endswith("*"):
        return lambda label: inner in label
    whole = re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
    return lambda label: whole.match(label) is not None

"""What the net scores on the voices that it never heard: `python -m puppet.training.report CORPUS` prints the model
card's table. Plain numpy: the benchmark uses it too."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..mouth import MouthDrive
from ..sound import Floats
from .corpus import read
from .measure import Score, reference, score
from .voices import Take

HELD_OUT = {
    "flite": "flite awb, rms (engine never heard)",
    "espeak_held": "espeak-ng f4, m6",
    "festival_held": "Festival pc_diphone, czech_krb",
}
"""Corpus → what it is, in the order of the table."""


def speak(take: Take) -> Floats:
    """The mouth that the net gives a take, shape (pictures, 7), and its loudness as an eighth column."""
    drive = MouthDrive()
    lips = drive.feed(take.pcm.astype(np.float32) / np.float32(32768)) + drive.finish()
    return np.stack([np.append(lip.shape, lip.loudness) for lip in lips])


def lips(takes: Sequence[Take]) -> tuple[Score, Score]:
    """The net's score and that of a jaw that follows loudness."""
    rows = [speak(take) for take in takes]
    phones = [take.phones for take in takes]
    loud = [np.pad(row[:, 7:], ((0, 0), (0, 6))) for row in rows]
    sounds = [take.pcm for take in takes]
    return score([row[:, :7] for row in rows], phones, sounds), score(loud, phones, sounds)


def ceiling(takes: Sequence[Take]) -> Score:
    """What the true phonemes themselves score: closures are not always whole at 25 pictures a second."""
    phones = [take.phones for take in takes]
    truth = [reference(take.phones, -(-len(take.pcm) // 640)) for take in takes]
    return score(truth, phones, [take.pcm for take in takes])


def _row(name: str, s: Score) -> str:
    shares = f"{s.jaw:.2f} | {s.aperture:.2f} | {s.width:.2f} | {s.closure:.2f}"
    return f"| {name} | {shares} | {100 * s.pause:.1f} % |"


def table(corpus: Path) -> str:
    lines = ["| voice | jaw | aperture | width | closure AUC | mouth in pauses |", "|---|---|---|---|---|---|"]
    for engine, name in HELD_OUT.items():
        takes = read(corpus / f"{engine}.npz")
        net, loud = lips(takes)
        lines += [_row(f"{name}: **net**", net), _row("— loudness", loud), _row("— true phonemes", ceiling(takes))]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    print(table(parser.parse_args().corpus))  # noqa: T201

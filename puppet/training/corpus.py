"""Speaks the corpus: `python -m puppet.training.corpus FOLDER [ENGINE …]` writes one .npz for each engine.

An .npz holds `pcm` (int16, all takes end to end), `ends` (int64) and `takes` (JSON: voice and phonemes of each take).
The engines come from Debian's packages (apt.txt) and from requirements-train.txt; `make train` sees to both.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from . import voices
from .voices import Take

log = logging.getLogger("puppet.training.corpus")


def _mei() -> str:
    from importlib.util import find_spec

    spec = find_spec("pyopenjtalk")
    if spec is None or spec.origin is None:
        raise SystemExit("pyopenjtalk-plus carries the voice Mei: pip install -r requirements-train.txt")
    return str(Path(spec.origin).parent / "htsvoice" / "mei_normal.htsvoice")


PLAN: dict[str, Callable[[float], Iterator[Take]]] = {
    # Given a share of the whole, so that a small corpus can be had quickly.
    "espeak": lambda share: voices.espeak(round(3600 * share), 1),
    "festival": lambda share: voices.festival(round(3200 * share), 2),
    "open_jtalk": lambda share: voices.open_jtalk(round(1100 * share), 3, _mei()),
    "formant": lambda share: voices.formant(round(3500 * share), 4),
    # The rest is for tests only.
    "flite": lambda share: voices.flite(round(300 * share), 5, voices=["awb", "rms"]),
    "espeak_held": lambda share: voices.espeak(round(120 * share), 6, variants=["f4", "m6"]),
    "festival_held": lambda share: voices.festival(round(120 * share), 7, voices=["pc_diphone", "czech_krb"]),
}
TRAINED_ON = ("espeak", "festival", "open_jtalk", "formant")


def write(path: Path, takes: Iterator[Take]) -> None:
    pcm, ends, notes = [], [], []
    total = 0
    for take in takes:
        pcm.append(take.pcm)
        total += len(take.pcm)
        ends.append(total)
        notes.append({"engine": take.engine, "voice": take.voice, "phones": take.phones})
    np.savez(path, pcm=np.concatenate(pcm), ends=np.array(ends), takes=np.array(json.dumps(notes)))
    log.info("%s: %d takes, %.0f minutes", path.stem, len(ends), total / voices.RATE / 60)


def read(path: Path) -> list[Take]:
    with np.load(path) as data:
        parts = np.split(data["pcm"], data["ends"][:-1])
        notes = json.loads(str(data["takes"]))
    return [
        Take(n["engine"], n["voice"], part, [(s, e, ipa) for s, e, ipa in n["phones"]])
        for n, part in zip(notes, parts, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("engines", nargs="*", default=list(PLAN), help=f"of {', '.join(PLAN)} (default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="of the whole corpus, 0 to 1")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.folder.mkdir(parents=True, exist_ok=True)
    for engine in args.engines:
        write(args.folder / f"{engine}.npz", PLAN[engine](args.share))


if __name__ == "__main__":
    main()

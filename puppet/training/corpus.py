"""Speaks the corpus: `python -m puppet.training.corpus FOLDER [ENGINE …]` writes one .npz for each engine.

An .npz holds `pcm` (int16, all takes end to end), `ends` (int64) and `takes` (JSON: voice and phonemes of each take).
Needs the engines: apt-get install flite festival festlex-cmu festlex-poslex festvox-kallpc16k festvox-kdlpc16k
festvox-us-slt-hts festvox-itapc16k festvox-italp16k festvox-czech-dita festvox-czech-machac festvox-czech-krb
festvox-suopuhe-lj festvox-suopuhe-mv festvox-ca-ona-hts festvox-ru open-jtalk open-jtalk-mecab-naist-jdic fortunes
fortunes-de fortunes-es fortunes-it fortunes-cs fortunes-pl fortunes-br fortunes-ru; and pip install scipy
espeakng-loader pyopenjtalk-plus opencv-python-headless.
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
        raise SystemExit("pyopenjtalk-plus carries the voice Mei: pip install pyopenjtalk-plus")
    return str(Path(spec.origin).parent / "htsvoice" / "mei_normal.htsvoice")


PLAN: dict[str, Callable[[], Iterator[Take]]] = {
    "espeak": lambda: voices.espeak(3600, 1),
    "festival": lambda: voices.festival(3200, 2),
    "open_jtalk": lambda: voices.open_jtalk(1100, 3, _mei()),
    "formant": lambda: voices.formant(3500, 4),
    # The rest is for tests only.
    "flite": lambda: voices.flite(300, 5, voices=["awb", "rms"]),
    "flite_known": lambda: voices.flite(120, 8, voices=["kal16", "slt"]),
    "espeak_held": lambda: voices.espeak(120, 6, variants=["f4", "m6"]),
    "festival_held": lambda: voices.festival(120, 7, voices=["pc_diphone", "czech_krb"]),
}


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("engines", nargs="*", default=list(PLAN))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.folder.mkdir(parents=True, exist_ok=True)
    for engine in args.engines:
        write(args.folder / f"{engine}.npz", PLAN[engine]())

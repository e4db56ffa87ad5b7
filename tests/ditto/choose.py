"""Chooses the golden vectors that the repository keeps: `python -m tests.ditto.choose FROM [TO]`.

FROM is a whole set (the developers' set is 3.9 MB); TO, `tests/ditto/golden` unless named, gets the part that a clone
without it tests with, at most 1.5 MB. Rules, first match wins:

- every file, every network, every stage and every end-to-end scenario stays;
- an array that a rule below names is left out, because another one of its kind stays (`KEPT OUT`);
- a large array is thinned: every k-th index of its axes (`THINNED`), so that all its regions are still seen. The
  manifest's slices say so, and the statistics of whole tensors stay as they are;
- small arrays, inputs that cannot be made again and all of `rng_check` stay whole.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.ditto.golden import parse_slice

LIMIT = 1_500_000
"""Bytes."""

KEPT_OUT = (
    r"lmdm:t(19|0)_(conditional|unconditional|pred_noise)",
    r"lmdm:t999_(conditional|unconditional)",
    r"crop_putback:lmk203_d224_s1\.5_1_.*",
    r"crop_putback:(frame_warped|mask_warped)",
)
THINNED = {
    r"lmdm:t\d+_(x_start|conditional|unconditional|pred_noise)": (1, 4, 2),
    r"lmdm:t\d+_(?!time_mlp|to_time|non_attn).*": (1, 1, 2),
    r"lmdm:ddim\d+_out": (1, 3, 1),
    r"lmdm:rotary_out": (1, 1, 4),
    r"online_e2e:\w_motion": (2, 3),
    r"online_e2e:\w_x_d": (2, 1, 1),
    r"online_e2e:[BD]_kp_cond": (2, 2),
    r"crop_putback:(putback)": (5, 5, 1),
    r"crop_putback:lmk.*img_crop": (2, 2, 1),
    r"crop_putback:main_rgb256": (1, 1, 2, 2),
    r"crop_putback:mask512": (3, 3),
    r"render_chain:f\d_frame": (3, 3, 1),
    r"render_chain:f\d_decoded": (2, 2, 1),
    r"render_chain:f\d_warp": (1, 1, 2, 2),
    r"decoder:(output|output_crop)": (1, 1, 2, 2),
    r"decoder:(?!output).*": (1, 2, 1, 1),
    r"warp_network:c\d_out": (1, 2, 2, 2),
    r"warp_network:c\d_(deformation|occlusion_map)": (1, 1, 2, 2, 1),
    r"warp_network:c\d_(dense.*|softmax_mask|heatmap|warped|third|fourth)": (1, 2, 1, 1, 1, 1),
    r"appearance_extractor:c\d_(?!image).*": (1, 2, 1, 1, 1),
    r"motion_extractor:c\d_detector\.(stages|down).*": (1, 2, 1, 1),
    r"motion_stitch:\w+_x_d": (2, 1, 1),
}


def thin(entry: dict[str, Any], steps: tuple[int, ...], rank: int) -> None:
    """The manifest's entry of the same array with every k-th index of each axis."""
    entry.setdefault("full_shape", entry["shape"])
    axes = list(parse_slice(entry["slice"])) if "slice" in entry else [slice(None)] * rank
    parts = []
    for axis, step in zip(axes, (*steps, *(1,) * rank), strict=False):
        every = (axis.step or 1) * step
        start, stop = "" if axis.start is None else axis.start, "" if axis.stop is None else axis.stop
        parts.append(f"{start}:{stop}:{every}" if every != 1 else f"{start}:{stop}")
    entry["slice"] = f"[{','.join(parts)}]"


def rule(patterns: Any, name: str) -> str | None:
    return next((p for p in patterns if re.fullmatch(p, name)), None)


def choose(source: Path, target: Path) -> int:
    """Writes the chosen set and returns its size in bytes."""
    manifest = json.loads((source / "manifest.json").read_text(encoding="utf-8"))
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file, entries in manifest["arrays"].items():
        stem = file.removesuffix(".npz")
        kept: dict[str, np.ndarray[Any, Any]] = {}
        with np.load(source / file, allow_pickle=False) as arrays:
            for name in arrays.files:
                plain = name.removesuffix("__stats")
                if rule(KEPT_OUT, f"{stem}:{plain}"):
                    entries.pop(name, None)
                    continue
                value, pattern = arrays[name], rule(THINNED, f"{stem}:{name}")
                if pattern and name in entries and not name.endswith("__stats") and value.ndim > 1:
                    steps = THINNED[pattern]
                    thin(entries[name], steps, value.ndim)
                    value = value[tuple(slice(None, None, step) for step in steps[: value.ndim])]
                    entries[name]["shape"] = list(value.shape)
                kept[name] = value
        np.savez_compressed(target / file, **kept)  # type: ignore[arg-type]
    (target / "manifest.json").write_text(json.dumps(manifest, separators=(",", ":")) + "\n", encoding="utf-8")
    return sum(path.stat().st_size for path in target.iterdir())


if __name__ == "__main__":
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "golden"
    size = choose(Path(sys.argv[1]), out)
    sys.stderr.write(f"{out}: {size:,} bytes\n")
    sys.exit(size > LIMIT)

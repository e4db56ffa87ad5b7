"""Finds a checkpoint's files: the published layouts, recognised by what lies in a directory (specification §9).

    ditto_pytorch/models/*.pth, aux_models/*.onnx     runs here
    ditto_onnx/*.onnx                                 runs here
    ditto_trt_Ampere_Plus/*.engine                    TensorRT 8 engines of one GPU: refused, with the way to rebuild

A configuration may name every file itself; what it names is looked for as it stands, then below the data root. Where it
is in neither place, the bundle's own file is used, and `Layout.notes` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from . import naming
from .config import Config
from .errors import BadCheckpoint

NETS = ("appearance_extractor", "motion_extractor", "stitch_network", "warp_network", "decoder", "lmdm")
AUXILIARY = ("hubert", "landmark203", "insightface_det", "landmark106", "blaze_face", "face_mesh", "face_landmarker")
"""The last is MediaPipe's `.task` file, of the PyTorch bundle alone."""


class Kind(StrEnum):
    PYTORCH = "pytorch"
    ONNX = "onnx"
    TENSORRT = "tensorrt"


PYTORCH_FILES = {
    **{net: f"models/{net}.pth" for net in NETS},
    "lmdm": "models/lmdm_v0.4_hubert.pth",
    "hubert": "aux_models/hubert_streaming_fix_kv.onnx",
    "landmark203": "aux_models/landmark203.onnx",
    "insightface_det": "aux_models/det_10g.onnx",
    "landmark106": "aux_models/2d106det.onnx",
    "face_landmarker": "aux_models/face_landmarker.task",
}
ONNX_FILES = {
    **{net: f"{net}.onnx" for net in NETS},
    "lmdm": "lmdm_v0.4_hubert.onnx",
    **{name: f"{name}.onnx" for name in AUXILIARY if name != "face_landmarker"},
}
NEEDED = (*NETS, "hubert", "landmark203")
"""Without these there is no talking face. A face can be found without the others (see docs/ditto.md)."""

_CONFIGURED = {
    **{name: ("base_cfg", f"{name}_cfg", "model_path") for name in (*NETS[:5], "hubert")},
    **{name: ("base_cfg", f"{name}_cfg", "model_path") for name in ("landmark203", "insightface_det", "landmark106")},
    "blaze_face": ("base_cfg", "landmark478_cfg", "blaze_face_model_path"),
    "face_mesh": ("base_cfg", "landmark478_cfg", "face_mesh_model_path"),
    "face_landmarker": ("base_cfg", "landmark478_cfg", "task_path"),
    "lmdm": ("audio2motion_cfg", "", "model_path"),
}
"""Network → where a configuration names its file."""

_HALF = (".part", ".partial", ".incomplete", ".crdownload", ".aria2", ".download", ".tmp")
"""What downloaders append while a file is not whole."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one checkpoint."""

    kind: Kind
    root: Path
    files: Mapping[str, Path]
    """Network → its file, for those that are there."""
    notes: tuple[str, ...] = ()
    """Where the files are not those that the configuration names, in sentences."""

    def need(self, name: str) -> Path:
        """A file that must be there. Raises `BadCheckpoint`."""
        if name not in self.files:
            raise BadCheckpoint(f"{self.root} has no {expected(self.kind, name)}. Fetch the checkpoint again.")
        return self.files[name]


def files_of(kind: Kind) -> Mapping[str, str]:
    """Network → its file in a bundle."""
    return PYTORCH_FILES if kind is Kind.PYTORCH else ONNX_FILES


def expected(kind: Kind, name: str) -> str:
    return files_of(kind).get(name, name)


def recognise(root: Path) -> Kind:
    """Which layout a directory has. Raises `BadCheckpoint` for none."""
    if not root.is_dir():
        raise BadCheckpoint(f"There is no directory {root}. --data_root names the folder of weights.")
    found = {
        Kind.PYTORCH: sum((root / path).exists() for path in PYTORCH_FILES.values()),
        Kind.ONNX: sum((root / path).exists() for path in ONNX_FILES.values()),
        Kind.TENSORRT: len([*root.glob("*.engine"), *root.glob("*.trt")]),
    }
    kind = max(found, key=lambda k: found[k])
    if not found[kind]:
        inner = [
            d for d in sorted(root.iterdir()) if d.is_dir() and d.name.startswith("ditto_") and d.name != "ditto_cfg"
        ]
        hint = f" Did you mean {' or '.join(str(d) for d in inner[:3])}?" if inner else ""
        raise BadCheckpoint(f"{root} holds no checkpoint of a known layout (ditto_pytorch, ditto_onnx).{hint}")
    others = [k for k in (Kind.PYTORCH, Kind.ONNX) if k is not kind and any(_net(root, k))]
    if kind is not Kind.TENSORRT and others:
        raise BadCheckpoint(f"{root} mixes files of the {kind} and the {others[0]} bundle; keep one of them.")
    return kind


def _net(root: Path, kind: Kind) -> list[str]:
    files = files_of(kind)
    return [net for net in NETS if (root / files[net]).exists()]


def find(config: Config, root: Path, source: Path) -> Layout:
    """All files of a checkpoint; `source` is the configuration's own.

    Raises `BadCheckpoint` for what is missing, half there, mixed or built for a GPU.
    """
    kind = recognise(root)
    if kind is Kind.TENSORRT:
        raise BadCheckpoint(rebuild(root))
    usual = files_of(kind)
    files: dict[str, Path] = {}
    absent: dict[str, str] = {}
    for name in (*NETS, *AUXILIARY):
        named = _named(config, name)
        candidates = [Path(named), root / named] if named else []
        if name in usual:
            candidates.append(root / usual[name])
        there = next((path for path in candidates if path.is_file() or _is_folder_of(name, path)), None)
        if there is not None:
            files[name] = there
            if named and there not in (Path(named), root / named):
                absent[name] = named
        elif half := next((h for path in candidates for h in _halves(path)), None):
            raise BadCheckpoint(f"{half} is a download that did not finish. Fetch it again.")
        elif named:
            absent[name] = named
    engines = [path for name, path in files.items() if path.suffix in (".engine", ".trt")]
    if engines:
        raise BadCheckpoint(rebuild(engines[0].parent))
    bundles: dict[str, Mapping[str, str]] = {Kind.PYTORCH: PYTORCH_FILES, Kind.ONNX: ONNX_FILES}
    notes = naming.remarks(source.name, root, kind, absent, files, bundles, NEEDED)
    missing = [expected(kind, name) for name in NEEDED if name not in files]
    if missing:
        raise BadCheckpoint(f"{root} lacks {', '.join(missing)}. Fetch what is missing, or the whole checkpoint again.")
    layout = Layout(kind, root, files, notes)
    _check_one_bundle(layout)
    return layout


def _is_folder_of(name: str, path: Path) -> bool:
    """HuBERT may be a folder as `transformers` writes it."""
    return name == "hubert" and (path / "config.json").is_file()


def _halves(path: Path) -> list[Path]:
    return [half for end in _HALF if (half := path.with_name(path.name + end)).exists()]


def _named(config: Config, name: str) -> str:
    section, entry, key = _CONFIGURED[name]
    where: Any = getattr(config, section)
    if entry:
        where = where.get(entry) or {}
    value = where.get(key) if isinstance(where, Mapping) else None
    return value if isinstance(value, str) else ""


def _check_one_bundle(layout: Layout) -> None:
    kinds = {name: layout.files[name].suffix for name in NETS if name in layout.files}
    wanted = ".pth" if layout.kind is Kind.PYTORCH else ".onnx"
    strange = [name for name, suffix in kinds.items() if suffix not in (wanted, ".pt")]
    if strange:
        path = layout.files[strange[0]]
        raise BadCheckpoint(f"{path} is of another bundle than the {layout.kind} files beside it; use one bundle.")


def rebuild(root: Path) -> str:
    return (
        f"{root} holds TensorRT 8 engines. They run on the GPU and the TensorRT version that they were built with, "
        "and this version needs TensorRT 11.2.1 or newer. Fetch ditto_pytorch and build engines for this GPU:\n"
        f"    {build_command(root.parent / 'ditto_engines', root.parent)}"
    )


def build_command(out: Path, checkpoints: Path = Path("checkpoints")) -> str:
    """How engines are built into `out`, from a published checkpoint below `checkpoints`."""
    config = checkpoints / "ditto_cfg" / "v0.4_hubert_cfg_pytorch.pkl"
    return f"python -m ditto build --cfg_pkl {config} --data_root {checkpoints / 'ditto_pytorch'} --out {out}"

"""Piper: neural voices from local files, one ONNX file and its JSON each."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

from ..errors import Invalid, NotReady
from ..types import Choice
from .native import Voice, WorkerVoice
from .worker import Worker

log = logging.getLogger(__name__)

MAX_CONFIG = 1_000_000
"""Bytes of a voice's JSON: the largest published are 20 kB."""


def describe(model: Path) -> Voice:
    """What the JSON beside a model says of it. Raises `Invalid` for a voice that cannot be used."""
    config = Path(f"{model}.json")
    if not model.is_file():
        raise Invalid(f"There is no Piper voice at {model}.", field="tts")
    try:
        if config.stat().st_size > MAX_CONFIG:
            raise ValueError("too large")
        settings = json.loads(config.read_text(encoding="utf-8"))
        rate = int(settings["audio"]["sample_rate"])
        tag = settings.get("language", {}).get("code") or settings["espeak"]["voice"]
    except FileNotFoundError:
        raise Invalid(f"The Piper voice {model.name} needs {config.name} beside it.", field="tts") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid(f"{config.name} is no configuration of a Piper voice: {error}.", field="tts") from None
    return Voice(f"piper-{model.stem}", str(tag).replace("_", "-"), "piper", str(model.resolve()), rate)


def piper(directory: Path, model: Path | None = None) -> WorkerVoice:
    """`model`, or every voice in `directory`. Raises `NotReady` where Piper or a voice is missing, `Invalid` for a
    `model` that is none. The worker starts when it is warmed."""
    if importlib.util.find_spec("piper") is None:
        raise NotReady("Piper is not installed: pip install -r requirements-piper.txt.", field="tts")
    voices = [describe(model)] if model else []
    for path in [] if model else sorted(directory.glob("*.onnx")):
        try:
            voices.append(describe(path))
        except Invalid as error:
            log.warning("%s", error.message)
    if not voices:
        raise NotReady(f"There is no Piper voice (a .onnx file and its .onnx.json) in {directory}.", field="tts")
    note = "Piper voices have licences of their own."
    return WorkerVoice("piper", Worker("Piper", "avatar.speak.piper_worker"), voices, Choice("tts", "piper", "", note))

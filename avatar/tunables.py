"""What a session may tune: one table, read once for parsing, range checks, `/config` and the page's form.

Nothing is clamped in silence: a name that is not here, a wrong type or a value out of range is an `Invalid` that names
the field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from .errors import Invalid

Live = Literal["frame", "chunk", "reply", "no"]
"""When a change takes effect: from the next frame, the next chunk, the next reply, or only at the offer."""


@dataclass(frozen=True, slots=True)
class Tunables:
    """The effective values of one session."""

    frame_scale: float = 0.5
    fps: int = 25
    sampling_timesteps: int = 10
    chunk_config: tuple[int, int, int] = (3, 5, 2)
    bitrate_kbps: int | Literal["auto"] = "auto"
    codec: str = "vp9"
    avatar: str = "default"
    emotion: str = "neutral"
    mode: str = "converse"
    voice: str | None = None
    language: str = "auto"
    instructions: str | None = None
    interruptible: bool = True
    greet: bool = False
    preset: str = "natural"
    intensity: float = 1.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    head_pitch: float = 0.0
    head_yaw: float = 0.0
    head_roll: float = 0.0
    blink_rate: float = 15.0
    told: frozenset[str] = field(default=frozenset(), compare=False)
    """Of `PRESET_MAKES`, what was set by its own name: a preset leaves it alone."""

    def as_json(self) -> dict[str, Any]:
        values = asdict(self) | {"chunk_config": list(self.chunk_config)}
        del values["told"]
        return values


@dataclass(frozen=True, slots=True)
class Spec:
    """One row of the table."""

    type: Literal["number", "integer", "triple", "bitrate", "choice", "string", "boolean"]
    live: Live
    effect: str
    """One sentence for a person."""
    min: float | tuple[int, int, int] | None = None
    max: float | tuple[int, int, int] | None = None
    choices: tuple[str, ...] | None = None
    nullable: bool = False
    """None is a value of its own: the engine's or the server's choice."""


_LANGUAGE = re.compile(r"auto|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
"""A BCP 47 tag in its usual form (RFC 5646 §2.1)."""
MAX_INSTRUCTIONS = 4_000
"""Characters: the system prompt is sent with every turn."""

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise", "contempt")
"""What a face can feel, in the order in which Ditto numbers them."""

TABLE: dict[str, Spec] = {
    "frame_scale": Spec("number", "frame", "Picture size as a share of the portrait's working size.", 0.1, 1.0),
    "fps": Spec("integer", "frame", "Pictures per second; speech is never slowed by it.", 5, 30),
    "sampling_timesteps": Spec("integer", "chunk", "Denoising steps of the neural face.", 1, 50),
    "chunk_config": Spec(
        "triple",
        "chunk",
        "Frames of 40 ms that a face works on: history kept, produced per step, looked ahead.",
        (1, 1, 1),
        (10, 20, 10),
    ),
    "bitrate_kbps": Spec("bitrate", "frame", "Ceiling of the video's rate in kbit/s, or auto.", 50, 4000),
    "codec": Spec("choice", "no", "Preferred video codec.", choices=("vp9", "av1", "h264", "vp8")),
    "avatar": Spec("string", "reply", "Id of a registered portrait."),
    "emotion": Spec("choice", "frame", "Mood of the face.", choices=EMOTIONS),
    "mode": Spec("choice", "no", "Hold a conversation, or only speak what is sent.", choices=("converse", "speak")),
    "voice": Spec("string", "reply", "Name of a voice of the speech engine.", nullable=True),
    "language": Spec("string", "reply", "Language of the conversation, such as en or ja, or auto."),
    "instructions": Spec("string", "reply", "What the language model is told about its role.", nullable=True),
    "interruptible": Spec("boolean", "frame", "Whether the user's voice stops the avatar."),
    "greet": Spec("boolean", "no", "Speak the server's greeting when connected."),
    "preset": Spec(
        "choice",
        "frame",
        "Manner of the neural face, in what is not set by itself.",
        choices=("natural", "calm", "warm", "lively"),
    ),
    "intensity": Spec("number", "frame", "How far the neural face moves: 0 not at all, 1 as made.", 0.0, 1.5),
    "gaze_x": Spec("number", "frame", "Degrees that the eyes look to the picture's right.", -20.0, 20.0),
    "gaze_y": Spec("number", "frame", "Degrees that the eyes look up.", -20.0, 20.0),
    "head_pitch": Spec("number", "frame", "Degrees that the head is raised.", -15.0, 15.0),
    "head_yaw": Spec("number", "frame", "Degrees that the head is turned to the picture's right.", -20.0, 20.0),
    "head_roll": Spec("number", "frame", "Degrees that the head leans clockwise.", -15.0, 15.0),
    "blink_rate": Spec("number", "frame", "Blinks of the neural face a minute.", 0.0, 40.0),
}
MANNERS = ("preset", "intensity", "gaze_x", "gaze_y", "head_pitch", "head_yaw", "head_roll", "blink_rate")
"""What the neural face alone can be told of its manner."""
PRESET_MAKES = frozenset({"emotion", *MANNERS}) - {"preset"}
"""What a preset has values for, in the place of what was not set by its own name; null gives it back to the preset."""
assert set(TABLE) == {f.name for f in fields(Tunables)} - {"told"}


_DEFAULTS = Tunables()


def _fail(name: str, message: str) -> Invalid:
    return Invalid(f"{name} {message}", code="invalid_tunable", field=name)


def _shown(value: Any) -> str:
    """A wrong value as a message may repeat it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _number(name: str, value: Any, spec: Spec, *, whole: bool) -> float | int:
    finite = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    if isinstance(value, bool) or not finite or (whole and not isinstance(value, int)):
        raise _fail(name, f"must be a {'whole ' if whole else ''}number, not {_shown(value)}.")
    low, high = spec.min, spec.max
    assert isinstance(low, int | float) and isinstance(high, int | float)
    if not low <= value <= high:
        raise _fail(name, f"must be from {low:g} to {high:g}, not {_shown(value)}.")
    return value if whole else float(value)


def _triple(name: str, value: Any, spec: Spec) -> tuple[int, int, int]:
    low, high = spec.min, spec.max
    assert isinstance(low, tuple) and isinstance(high, tuple)
    if (
        not isinstance(value, list | tuple)
        or len(value) != 3
        or any(isinstance(v, bool) or not isinstance(v, int) for v in value)
    ):
        raise _fail(name, "must be three whole numbers: history, chunk, look-ahead.")
    for part, v, lo, hi in zip(("history", "chunk", "look-ahead"), value, low, high, strict=True):
        if not lo <= v <= hi:
            raise _fail(name, f"needs a {part} from {lo} to {hi}, not {_shown(v)}.")
    return value[0], value[1], value[2]


def _string(name: str, value: Any, spec: Spec) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _fail(name, f"must be a text that is not empty, not {_shown(value)}.")
    limit = MAX_INSTRUCTIONS if name == "instructions" else 100
    if len(value) > limit:
        raise _fail(name, f"must be at most {limit} characters long.")
    if name == "language" and not _LANGUAGE.fullmatch(value.strip()):
        raise _fail(name, f"must be auto or a language tag such as en or ja, not {_shown(value)}.")
    return value.strip()


def _check(name: str, value: Any) -> Any:
    spec = TABLE[name]
    if value is None and spec.nullable:
        return None
    match spec.type:
        case "number":
            return _number(name, value, spec, whole=False)
        case "integer":
            return _number(name, value, spec, whole=True)
        case "bitrate":
            return "auto" if value == "auto" else _number(name, value, spec, whole=True)
        case "triple":
            return _triple(name, value, spec)
        case "boolean":
            if not isinstance(value, bool):
                raise _fail(name, f"must be true or false, not {_shown(value)}.")
            return value
        case "choice":
            assert spec.choices is not None
            if value not in spec.choices:
                raise _fail(name, f"must be one of {', '.join(spec.choices)}, not {_shown(value)}.")
            return value
        case "string":
            return _string(name, value, spec)


def update(base: Tunables, changes: Mapping[str, Any], *, live: bool = False) -> Tunables:
    """`base` with `changes`, all checked before any is taken.

    `live`: the session runs already, so what is fixed at the offer may not change any more. null gives a tunable of
    `PRESET_MAKES` back to the preset.
    Raises `Invalid` naming the first wrong field.
    """
    checked: dict[str, Any] = {}
    told = set(base.told)
    for name, value in changes.items():
        if name not in TABLE:
            raise Invalid(
                f"There is no tunable named {name!r}; GET /config lists them.", code="unknown_tunable", field=name
            )
        if name in PRESET_MAKES and value is None:
            checked[name] = getattr(_DEFAULTS, name)
            told.discard(name)
            continue
        checked[name] = _check(name, value)
        if name in PRESET_MAKES:
            told.add(name)
        if live and TABLE[name].live == "no" and checked[name] != getattr(base, name):
            raise _fail(name, "cannot change while the session runs: send it with a new offer.")
    return replace(base, **checked, told=frozenset(told))


def describe(defaults: Tunables) -> dict[str, dict[str, Any]]:
    """The table as `/config` shows it."""
    values = defaults.as_json()
    rows: dict[str, dict[str, Any]] = {}
    for name, spec in TABLE.items():
        rows[name] = {
            "default": values[name],
            "type": spec.type,
            "min": list(spec.min) if isinstance(spec.min, tuple) else spec.min,
            "max": list(spec.max) if isinstance(spec.max, tuple) else spec.max,
            "choices": list(spec.choices) if spec.choices else None,
            "live": spec.live != "no",
            "when": spec.live,
            "nullable": spec.nullable,
            "preset": name in PRESET_MAKES,
            "effect": spec.effect,
        }
    return rows

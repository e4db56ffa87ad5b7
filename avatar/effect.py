"""The tunables as they hold: what is wished for, within what the network and the machine allow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .clock import SLOTS_PER_S
from .engines import Engines
from .play.ladder import RUNGS, Rung
from .play.peer import Peer
from .tunables import TABLE, Tunables


@dataclass(frozen=True, slots=True)
class Limits:
    """What cannot be passed, whatever is wished for."""

    rung: Rung = RUNGS[0]
    """What the client's network allows to be shown."""
    fps: int = 30
    """Pictures a second that the face can draw beside its sound."""


def within(wished: Tunables, limits: Limits) -> Tunables:
    """What is shown."""
    rung = limits.rung
    lowest = TABLE["frame_scale"].min
    assert isinstance(lowest, float)
    return replace(
        wished,
        fps=min(wished.fps, rung.fps, limits.fps),
        frame_scale=max(lowest, round(wished.frame_scale * rung.scale, 3)),
        sampling_timesteps=max(1, round(wished.sampling_timesteps * rung.steps)),
    )


def effective(wished: Tunables, limits: Limits, peer: Peer | None, engines: Engines) -> dict[str, Any]:
    """As the client is told, with what was negotiated and what the face has no use for."""
    values = within(wished, limits).as_json()
    if peer is not None:
        values["codec"] = peer.codec or None
    if engines.face_ready.is_set():
        values["ignored"] = sorted(engines.face.ignores)
    notes = {}
    if wished.fps > SLOTS_PER_S:
        notes["fps"] = f"Pictures are paired with 40 ms of sound, so {SLOTS_PER_S} a second are sent."
    elif limits.fps < min(wished.fps, limits.rung.fps):
        notes["fps"] = "The machine is too slow for more pictures; the sound goes on."
    if not limits.rung.video:
        notes["video"] = "The network is too slow for pictures; the sound goes on."
    if notes:
        values["notes"] = notes
    return values

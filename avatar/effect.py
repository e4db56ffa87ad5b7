"""The tunables as they hold: what is wished for, within what the network allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .clock import SLOTS_PER_S
from .engines import Engines
from .play.ladder import Rung
from .play.peer import Peer
from .tunables import TABLE, Tunables


def within(wished: Tunables, rung: Rung) -> Tunables:
    """What is shown on a rung of the ladder."""
    lowest = TABLE["frame_scale"].min
    assert isinstance(lowest, float)
    return replace(
        wished,
        fps=min(wished.fps, rung.fps),
        frame_scale=max(lowest, round(wished.frame_scale * rung.scale, 3)),
        sampling_timesteps=max(1, round(wished.sampling_timesteps * rung.steps)),
    )


def effective(wished: Tunables, rung: Rung, peer: Peer | None, engines: Engines) -> dict[str, Any]:
    """As the client is told, with what was negotiated and what the face has no use for."""
    values = within(wished, rung).as_json()
    if peer is not None:
        values["codec"] = peer.codec or None
    if engines.face_ready.is_set():
        values["ignored"] = sorted(engines.face.ignores)
    notes = {}
    if wished.fps > SLOTS_PER_S:
        notes["fps"] = f"Pictures are paired with 40 ms of sound, so {SLOTS_PER_S} a second are sent."
    if not rung.video:
        notes["video"] = "The network is too slow for pictures; the sound goes on."
    if notes:
        values["notes"] = notes
    return values

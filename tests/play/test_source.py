"""Whose path decides what everybody hears."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from avatar.play import opus
from avatar.play.opus import BITRATE
from avatar.play.source import SoundSource
from avatar.play.takers import Sound
from tests.play.test_opus import voice

pytestmark = pytest.mark.skipif(opus._libopus() is None, reason="libopus cannot be reached directly here")


@dataclass
class Taker:
    leads: bool
    target: int = BITRATE
    lossy: float = 0.0
    taking: bool = True
    dtx: bool = False
    heard: list[bytes] = field(default_factory=list)

    def take(self, sound: Sound) -> None:
        self.heard.append(sound.data)


def said(*takers: Taker) -> list[bytes]:
    """Two seconds of voice, as the first of them gets it."""
    source = SoundSource()
    for taker in takers:
        taker.heard = []
        source.join(taker)
    for tick in range(100):
        source.push(tick, voice(tick))
    for taker in takers:
        source.leave(taker)
    assert all(taker.heard == takers[0].heard for taker in takers)
    return takers[0].heard


def test_the_sound_follows_the_path_of_who_leads() -> None:
    client, poor = Taker(leads=True), Taker(leads=False, target=10_000, lossy=0.2)
    alone = said(client)
    assert said(client, poor) == alone, "a watcher's poor path made everybody's sound coarse"
    lossy = said(Taker(leads=True, lossy=0.2), Taker(leads=False))
    assert lossy != alone
    assert said(Taker(leads=True, lossy=0.2)) == lossy
    thin = said(Taker(leads=True, target=12_000), Taker(leads=False))
    assert sum(map(len, thin)) < 0.6 * sum(map(len, alone))


def test_while_nobody_leads_a_usual_watcher_decides() -> None:
    good, poor = Taker(leads=False), Taker(leads=False, target=10_000, lossy=0.2)
    alone = said(good)
    assert said(good, Taker(leads=False), poor) == alone
    assert sum(map(len, said(poor))) < 0.6 * sum(map(len, alone))

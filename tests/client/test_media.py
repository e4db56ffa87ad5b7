from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar.play.receive import ReceivedPicture, ReceivedSound
from avatar.play.reception import SenderTimeline
from client.media import DELAY_PACKETS, Media
from client.peer import PATIENCE_S, Lineup
from client.recorder import Recorder
from tests.client.performances import RATE, lag, picture, slices, speech, watch

LOUD = np.full(960, 8000, np.int16)
QUIET = np.zeros(960, np.int16)
SENDER, HERE = 1_700_000_000.0, 50.0
"""The two clocks: Unix seconds there, monotonic seconds here."""


async def test_the_microphone_stands_where_the_reply_was_heard(tmp_path: Path) -> None:
    """The user speaks at second 1 on our clock; the avatar's answer, 30 ms under way, arrives at second 2.5."""
    question, answer = speech(1, seed=1), speech(1, seed=2)
    recorder = Recorder(tmp_path / "talk.mkv", microphone=True)
    media = Media(recorder)
    said = np.concatenate([np.zeros(RATE, np.int16), question, np.zeros(2 * RATE, np.int16)])
    heard = np.concatenate([np.zeros(int(2.5 * RATE), np.int16), answer, np.zeros(RATE // 2, np.int16)])
    for n in range(len(said) // 960):
        now = HERE + n * 0.02
        media.microphone(said[n * 960 : (n + 1) * 960], now)
        media.voice(heard[n * 960 : (n + 1) * 960], SENDER + n * 0.02 - 0.03, now)
        if n % 2 == 0:
            media.picture(picture(n // 2, LOUD), SENDER + n * 0.02 - 0.03, now)
    media.finish()
    await recorder.close()
    film = watch(tmp_path / "talk.mkv")
    voice, microphone = film.tracks
    apart = lag(voice, answer, 3 * RATE) - lag(microphone, question, 3 * RATE)
    assert apart / RATE == pytest.approx(1.5, abs=0.005)


def test_the_delay_covers_the_usual_jitter_and_not_the_outliers() -> None:
    kept: list[float] = []

    class Keeper:
        def microphone(self, pcm: np.ndarray, at: float) -> None:
            kept.append(at)

        def voice(self, pcm: np.ndarray, at: float) -> None: ...

    media = Media(Keeper())  # type: ignore[arg-type]
    media.microphone(QUIET, HERE)
    for n in range(DELAY_PACKETS):
        late = 0.5 if n == 50 else 0.01 * (n % 2)
        media.voice(QUIET, SENDER + n * 0.02, HERE + n * 0.02 + late)
    assert kept == [pytest.approx(SENDER - 0.01, abs=1e-3)]


def test_the_first_audible_sound_of_a_turn_is_dated_from_the_servers_word() -> None:
    media = Media()
    media.listen(HERE)
    media.voice(QUIET, SENDER, HERE + 0.02)
    media.voice(LOUD, SENDER + 0.02, HERE + 0.04)
    media.voice(LOUD, SENDER + 0.04, HERE + 0.06)
    assert media.heard == {HERE: pytest.approx(0.04)}


def test_sound_that_overtook_the_servers_word_counts() -> None:
    media = Media()
    media.voice(LOUD, SENDER, HERE - 0.01)
    media.listen(HERE)
    media.voice(LOUD, SENDER + 0.02, HERE + 0.01)
    assert media.heard == {HERE: pytest.approx(-0.01)}


def test_the_skew_of_the_arrivals_is_positive_when_sound_comes_later() -> None:
    media = Media()
    for n in range(200):
        media.voice(QUIET, SENDER + n * 0.02, HERE + n * 0.02 + 0.050)
        media.picture(picture(n, QUIET), SENDER + n * 0.02, HERE + n * 0.02 + 0.030)
    found = media.skew()
    assert found is not None
    assert found.p50 == pytest.approx(20, abs=0.1)


def test_the_content_gives_the_offset_while_it_arrives() -> None:
    media = Media()
    for number, pcm in slices(speech(10)):
        at = SENDER + number * 0.04
        media.picture(picture(number, pcm), at, HERE + number * 0.04)
        media.voice(pcm, at + 0.030, HERE + number * 0.04)
    found = media.offset()
    assert found is not None
    assert found.p50 == pytest.approx(30, abs=3)
    assert Media().offset() is None


@dataclass
class Streams:
    """A picture and a sound stream whose sender reports come when told."""

    media: Any
    lineup: Lineup
    sound: SenderTimeline
    video: SenderTimeline

    def hear(self, n: int) -> None:
        self.lineup.take(ReceivedSound(LOUD, b"x", n * 960, HERE + n * 0.02, self.sound))

    def see(self, n: int) -> None:
        self.lineup.take(ReceivedPicture(picture(n, LOUD), b"x", True, "vp9", n * 3600, HERE + n * 0.04, self.video))


@pytest.fixture
def streams() -> Streams:
    media = Media()
    return Streams(media, Lineup(media), SenderTimeline(RATE), SenderTimeline(90_000))


NTP = int((SENDER + 2_208_988_800) * (1 << 32))


def test_nothing_is_placed_before_both_streams_can_be(streams: Streams) -> None:
    streams.hear(0)
    streams.see(0)
    streams.sound.update(0, NTP)
    streams.hear(1)
    assert streams.media.sound.first is None
    streams.video.update(0, NTP)
    streams.see(1)
    assert streams.media.sound.first == HERE  # from the first packet on
    assert streams.media.pictures.frames == 2


def test_a_stream_without_reports_does_not_hold_up_the_other(streams: Streams) -> None:
    streams.sound.update(0, NTP)
    for n in range(int(PATIENCE_S * 50) + 5):
        streams.hear(n)
    assert streams.media.sound.first == HERE
    assert streams.media.sound.gaps == 0


def test_a_guess_at_lost_sound_is_a_gap(streams: Streams) -> None:
    streams.sound.update(0, NTP)
    streams.video.update(0, NTP)
    streams.see(0)
    streams.hear(0)
    streams.lineup.take(ReceivedSound(LOUD, b"", 960, HERE + 0.02, streams.sound))
    streams.hear(2)
    assert streams.media.sound.gaps == 1

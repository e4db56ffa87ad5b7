"""The ears on real speech: any split of the sound gives the same events, with the right times."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.hear.ears import (
    Ears,
    EarsConfig,
    HearEvent,
    SpeechContinued,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
)
from avatar.hear.vad import Vad
from avatar.hear.verdict import Advice
from avatar.types import AudioChunk, Pcm
from tests.hear.sounds import clicks, clip, hear_all, mixed, music, noise, same, silence, voice_span, whispered

SLACK = 0.1 * 16_000
"""The detector judges 32 ms at a time and is late by one or two of them at soft edges."""


@pytest.fixture(scope="module")
def new_ears() -> Callable[[], Ears]:
    make = Vad.load()
    return lambda: Ears(make())


def conversation() -> Pcm:
    """Three utterances over a quiet room, with pauses and typing."""
    parts = [silence(0.7), clip("time", 48_000), silence(1.1), clip("weather", 48_000), clicks(1.5, 0.3)]
    parts += [clip("yes", 48_000), silence(1.2)]
    return mixed(np.concatenate(parts), noise(30, -62))


def utterances(events: list[HearEvent]) -> list[SpeechEnded]:
    return [event for event in events if isinstance(event, SpeechEnded)]


def test_each_sentence_is_one_utterance(new_ears: Callable[[], Ears]) -> None:
    events = hear_all(new_ears(), conversation())
    edges = [e for e in events if isinstance(e, SpeechStarted | SpeechEnded)]
    assert [type(e) for e in edges] == [SpeechStarted, SpeechEnded] * 3


@pytest.mark.parametrize("name", ["hello", "thanks", "time", "yes"])
def test_times_are_those_of_the_voice(new_ears: Callable[[], Ears], name: str) -> None:
    recording = clip(name, 48_000)
    lead = silence(1.0)
    first, last = (len(lead) + edge for edge in voice_span(recording, 48_000))
    events = hear_all(new_ears(), mixed(np.concatenate([lead, recording, silence(1.0)]), noise(30, -65)))
    started, ended = events[0], events[-1]
    assert isinstance(started, SpeechStarted) and isinstance(ended, SpeechEnded)
    assert abs(started.at - first / 3) <= SLACK
    assert abs(ended.utterance.speech_end - last / 3) <= SLACK
    assert ended.at > ended.utterance.speech_end
    assert ended.utterance.audio.start <= started.at - 0.29 * 16_000
    assert ended.utterance.audio.end >= ended.utterance.speech_end + 0.19 * 16_000


def test_the_stream_of_an_utterance_has_no_gap(new_ears: Callable[[], Ears]) -> None:
    pcm = conversation()
    position: int | None = None
    fed: list[Pcm] = []
    first = 0
    for event in hear_all(new_ears(), pcm):
        match event:
            case SpeechStarted(_, chunk):
                assert position is None
                first, position, fed = chunk.start, chunk.end, [chunk.pcm]
            case SpeechContinued(chunk):
                assert chunk.start == position
                position = chunk.end
                fed.append(chunk.pcm)
            case SpeechEnded(utterance, at):
                assert at == position
                assert utterance.audio.start == first
                sound = np.concatenate(fed)
                assert np.array_equal(sound[: len(utterance.audio.pcm)], utterance.audio.pcm)
                position = None
    assert position is None


def test_a_pause_inside_a_sentence_revises_it(new_ears: Callable[[], Ears]) -> None:
    first, last = voice_span(clip("time", 48_000), 48_000)
    sentence = clip("time", 48_000)[first:last]
    pcm = np.concatenate([silence(0.5), sentence, silence(0.4), sentence, silence(1.2)])
    told = [e for e in hear_all(new_ears(), pcm) if not isinstance(e, SpeechContinued)]
    assert [type(e) for e in told] == [SpeechStarted, SpeechPaused, SpeechResumed, SpeechPaused, SpeechEnded]
    pause, end = told[1], told[4]
    assert isinstance(pause, SpeechPaused) and isinstance(end, SpeechEnded)
    assert not pause.utterance.final and pause.utterance.revision == 0
    assert end.utterance.final and end.utterance.revision == 1
    assert np.array_equal(end.utterance.audio.pcm[: len(pause.utterance.audio.pcm)], pause.utterance.audio.pcm)


@pytest.mark.parametrize(("complete", "wanted_s"), [(0.97, 0.46), (0.02, 1.5)])
def test_a_verdict_on_the_pause_moves_the_end(new_ears: Callable[[], Ears], complete: float, wanted_s: float) -> None:
    ears = new_ears()
    pcm = np.concatenate([silence(0.5), clip("time", 48_000), silence(2.5)])
    for at in range(0, len(pcm), 960):
        for event in ears.hear(AudioChunk(pcm[at : at + 960], 48_000, at)):
            if isinstance(event, SpeechPaused):
                ears.judge(event, Advice(words=complete))
            elif isinstance(event, SpeechEnded):
                waited = (event.at - event.utterance.speech_end) / 16_000
    assert wanted_s <= waited < wanted_s + 0.12  # the detector is up to 70 ms late


def test_the_sound_lies_where_its_index_says(new_ears: Callable[[], Ears]) -> None:
    from avatar.hear.resample import Downsampler

    pcm = conversation()
    whole = Downsampler().feed(pcm)
    for ended in utterances(hear_all(new_ears(), pcm)):
        audio = ended.utterance.audio
        assert np.array_equal(whole[audio.start : audio.end], audio.pcm)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_split_gives_the_same_events(new_ears: Callable[[], Ears], data: st.DataObject) -> None:
    pcm = np.concatenate([silence(0.4), clip("yes", 48_000), silence(0.8), clip("thanks", 48_000), silence(0.8)])
    reference = hear_all(new_ears(), pcm, len(pcm))
    assert len(utterances(reference)) == 2
    cuts = data.draw(st.lists(st.integers(0, len(pcm)), max_size=60))
    assert same(hear_all(new_ears(), pcm, cuts), reference)


@pytest.mark.parametrize("length", [1, 7, 480, 960, 4_801])
def test_even_pieces_give_the_same_events(new_ears: Callable[[], Ears], length: int) -> None:
    pcm = np.concatenate([silence(0.1), clip("yes", 48_000), silence(0.7)])
    if length == 1:
        pcm = pcm[: 48_000 // 2]
    assert same(hear_all(new_ears(), pcm, length), hear_all(new_ears(), pcm, len(pcm)))


@pytest.mark.parametrize(
    "sound",
    [silence(3), noise(3, -60), noise(3, -30), clicks(5, 0.25), clicks(5, 0.9, seed=3), music(6, -36), music(6, -20)],
    ids=["silence", "quiet noise", "loud noise", "fast clicks", "slow clicks", "quiet music", "loud music"],
)
def test_what_is_no_voice_is_no_utterance(new_ears: Callable[[], Ears], sound: Pcm) -> None:
    assert hear_all(new_ears(), sound) == []


@pytest.mark.parametrize("snr_db", [30, 15, 10])
def test_speech_in_noise_is_heard(new_ears: Callable[[], Ears], snr_db: int) -> None:
    recording = clip("hello", 48_000)
    loudness = 20 * np.log10(np.sqrt((recording.astype(np.float64) ** 2).mean()) / 32768)
    pcm = mixed(np.concatenate([silence(1), recording, silence(1)]), noise(30, loudness - snr_db))
    assert len(utterances(hear_all(new_ears(), pcm))) == 1


@pytest.mark.parametrize("gain_db", [-30, -20, 0])
def test_a_quiet_voice_is_heard(new_ears: Callable[[], Ears], gain_db: int) -> None:
    quiet = (clip("weather", 48_000) * 10 ** (gain_db / 20)).astype(np.int16)
    pcm = mixed(np.concatenate([silence(1), quiet, silence(1)]), noise(30, -80))
    assert len(utterances(hear_all(new_ears(), pcm))) == 1


@pytest.mark.parametrize("dbfs", [-40, -30])
def test_speech_over_music_is_heard_and_ends(new_ears: Callable[[], Ears], dbfs: int) -> None:
    pcm = mixed(np.concatenate([silence(1.5), clip("weather", 48_000), silence(1.5)]), music(30, dbfs))
    assert len(utterances(hear_all(new_ears(), pcm))) == 1


@pytest.mark.parametrize("name", ["hello", "time", "weather", "thanks"])
def test_a_whisper_is_heard(new_ears: Callable[[], Ears], name: str) -> None:
    said = whispered(clip(name, 48_000))
    begin, end = voice_span(said, 48_000)
    pcm = mixed(np.concatenate([silence(1), said, silence(1.5)]), noise(30, -75))
    (heard,) = utterances(hear_all(new_ears(), pcm))
    covered = heard.utterance.speech_end - max(heard.utterance.audio.start, 16_000 + begin // 3)
    assert covered > 0.7 * (end - begin) / 3


def test_two_people_are_one_utterance_and_nothing_is_lost(new_ears: Callable[[], Ears]) -> None:
    one, other = clip("hello", 48_000), clip("weather", 48_000)
    together = mixed(np.concatenate([one, silence(1.0)]), np.concatenate([silence(0.5), other, silence(5)]))
    in_turn = np.concatenate([clip("time", 48_000), silence(0.1), clip("thanks", 48_000), silence(0.1), one])
    for talk in (together, in_turn):
        first, last = voice_span(talk, 48_000)
        events = hear_all(new_ears(), np.concatenate([silence(0.5), talk, silence(1.5)]))
        (heard,) = utterances(events)
        assert heard.utterance.audio.start <= 8_000 + first // 3
        assert abs(heard.utterance.speech_end - (8_000 + last // 3)) < SLACK


def test_a_user_who_never_stops_is_heard_in_pieces_without_a_lost_sample(new_ears: Callable[[], Ears]) -> None:
    first, last = voice_span(clip("hello", 48_000), 48_000)
    pcm = np.concatenate([silence(0.5), np.tile(clip("hello", 48_000)[first:last], 25), silence(1.0)])
    pieces = [e.utterance for e in utterances(hear_all(new_ears(), pcm))]
    assert len(pieces) >= 2
    assert all(p.audio.seconds <= 28.0 for p in pieces)
    for before, after in pairwise(pieces):
        assert after.audio.start - before.audio.end <= 0.4 * 16_000
        assert after.audio.start >= before.audio.end


def test_voiced_seconds_grow_with_the_voice(new_ears: Callable[[], Ears]) -> None:
    ears = new_ears()
    assert ears.voiced_s == 0
    seen: list[float] = []
    pcm = np.concatenate([silence(0.5), clip("hello", 48_000), silence(1.0)])
    for at in range(0, len(pcm), 960):
        ears.hear(AudioChunk(pcm[at : at + 960], 48_000, at))
        seen.append(ears.voiced_s)
    assert seen[10] == 0 and seen[-1] == 0
    running = seen[: int(np.argmax(seen)) + 1]
    assert running == sorted(running)
    assert 2.0 < max(seen) < 3.1


def test_level_follows_loudness(new_ears: Callable[[], Ears]) -> None:
    ears = new_ears()
    levels = []
    for at, loudness in enumerate([-90, -50, -40, -30, -20, -10]):
        ears.hear(AudioChunk(noise(0.02, loudness), 48_000, at * 960))
        levels.append(ears.level)
    assert levels == sorted(levels)
    assert levels[0] == 0 and levels[-1] == 1
    ears.hear(AudioChunk(silence(0.02), 48_000, 6 * 960))
    assert ears.level == 0


def test_a_hole_is_silence(new_ears: Callable[[], Ears]) -> None:
    speech = np.concatenate([silence(0.5), clip("time", 48_000)])
    after = 48_000 * 5
    whole = np.concatenate([speech, silence(1.5), clip("yes", 48_000), silence(1.0)])
    begin_again = len(speech) + round(1.5 * 48_000)
    ears = new_ears()
    events = hear_all(ears, speech) + hear_all(ears, whole[begin_again:], start=begin_again)
    assert same(events, hear_all(new_ears(), whole))
    late = new_ears()
    far = len(speech) + after * 720  # an hour without a microphone
    events = hear_all(late, speech)
    events += hear_all(late, whole[begin_again - 24_000 :], start=far)
    ends = utterances(events)
    assert len(ends) == 2
    assert ends[0].utterance.speech_end < len(speech) / 3 + SLACK
    assert ends[1].utterance.audio.start >= far / 3


def test_sound_heard_twice_counts_once(new_ears: Callable[[], Ears]) -> None:
    pcm = np.concatenate([silence(0.5), clip("yes", 48_000), silence(1.0)])
    ears = new_ears()
    events: list[HearEvent] = []
    for at in range(0, len(pcm), 960):
        begin = max(0, at - 480)
        events += ears.hear(AudioChunk(pcm[begin : at + 960], 48_000, begin))
    assert same(events, hear_all(new_ears(), pcm))


def test_a_stream_may_begin_anywhere(new_ears: Callable[[], Ears]) -> None:
    pcm = np.concatenate([silence(0.5), clip("yes", 48_000), silence(1.0)])
    at_zero, later = (utterances(hear_all(new_ears(), pcm, start=start))[0].utterance for start in (0, 3_000_000))
    assert later.speech_end - at_zero.speech_end == 1_000_000
    # Off the 3:1 grid the ears begin with the next sample that lies on it.
    off_grid = hear_all(new_ears(), pcm, start=1)
    assert same(off_grid, hear_all(new_ears(), pcm[2:], start=3))


def test_reset_drops_the_utterance(new_ears: Callable[[], Ears]) -> None:
    ears = Ears(Vad.load()(), EarsConfig(adaptive=False))  # what is learnt of the speaker outlives a reset
    speech = np.concatenate([silence(0.5), clip("hello", 48_000)])
    assert hear_all(ears, speech)
    ears.reset()
    assert ears.voiced_s == 0 and ears.level == 0
    assert hear_all(ears, silence(2.0), start=len(speech)) == []
    fresh = np.concatenate([silence(0.5), clip("yes", 48_000), silence(1.0)])
    ears.reset()
    assert same(hear_all(ears, fresh), hear_all(new_ears(), fresh))


def test_another_rate_is_refused(new_ears: Callable[[], Ears]) -> None:
    with pytest.raises(ValueError, match="48000"):
        new_ears().hear(AudioChunk(silence(0.1), 16_000, 0))


def test_no_sound_is_no_event(new_ears: Callable[[], Ears]) -> None:
    assert new_ears().hear(AudioChunk(np.zeros(0, np.int16), 48_000, 0)) == []


def test_configuration_is_used() -> None:
    patient = Ears(Vad.load()(), EarsConfig(end_silence_s=1.5))
    pcm = np.concatenate([silence(0.5), clip("time", 48_000), silence(1.0), clip("yes", 48_000), silence(2.0)])
    assert len(utterances(hear_all(patient, pcm))) == 1

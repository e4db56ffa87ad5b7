"""Where an utterance begins and ends, from one voice probability per frame. A pure core: no sound, no clock.

Two thresholds keep a wavering voice from being chopped (hysteresis); a start needs a little voice in a row, so that
clicks and knocks are nothing. A silence is a pause first, at which others may work ahead, and the end once it lasts as
long as this speaker's pauses ask for, or as long as somebody who understands the sentence advises: a verdict on the
pause shortens or lengthens it. An utterance that grows too long ends at ever shorter silences, and in the end at none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from .pauses import RESUMED_S, PauseModel
from .resample import RATE
from .vad import FRAME
from .verdict import Advice, VoiceScale

START_THRESHOLD = 0.5
"""Voice probability from which a silence is over: the balance point that Silero's authors advise."""
KEEP_THRESHOLD = 0.35
"""Voice probability down to which a voice goes on: Silero's own distance of 0.15."""

_SOONER, _LATER = 0.45, 0.5
"""How far a silence is shortened, and lengthened, for each unit of log-odds that the turn is complete, or is not: by
factors of 0.64 and 1.65."""


@dataclass(frozen=True, slots=True)
class EarsConfig:
    """How the ears judge. Seconds, unless said."""

    start_threshold: float = START_THRESHOLD
    keep_threshold: float = KEEP_THRESHOLD
    min_speech_s: float = 0.096
    """Voice needed before it is believed: three frames. A click or a knock lights up one or two; the shortest answers
    ("はい", "no") last 200 ms and more, and barge-in must not wait longer than this."""
    onset_gap_s: float = 0.128
    """A doubtful beginning is dropped after this much silence: longer than a stop consonant's closure (60–100 ms)."""
    end_silence_s: float = 0.57
    """Silence that ends the turn, until more is known of the speaker. Pauses between the words of one sentence are
    mostly under 500 ms; every further 100 ms is felt as slowness."""
    adaptive: bool = True
    """Whether that silence follows the pauses that the speaker makes (`pauses.py`)."""
    min_end_silence_s: float = 0.4
    """However fluent the speaker: below it every search for a word would end the turn."""
    max_end_silence_s: float = 1.2
    """However slow: above it the avatar seems not to listen."""
    pause_s: float = 0.2
    """Silence after which the end is likely enough to work ahead, and to be judged: longer than the closures inside
    words, and early enough that the work is done when the end is certain."""
    complete_silence_s: float = 0.46
    """However sure it is that the turn is complete: the words of a pause are known after 0.4 s."""
    incomplete_silence_s: float = 1.5
    """However sure it is that the turn is not: some who trail off are waiting for an answer after all."""
    incomplete: float = 0.35
    """Probability that a turn is complete below which nobody should work ahead."""
    pre_roll_s: float = 0.3
    """Sound kept from before the onset: soft beginnings (h, f, s) are noticed up to 250 ms late."""
    tail_s: float = 0.2
    """Sound kept after the last voice: recognisers clip a final consonant that touches the end of their input."""
    long_utterance_s: float = 20.0
    """From here on shorter silences end the utterance, down to `tail_s` at the limit: the next breath will do."""
    max_utterance_s: float = 28.0
    """Length, pre-roll included, at which a user who never stops is cut: Whisper looks at 30 s at most."""

    def __post_init__(self) -> None:
        if not 0 < self.keep_threshold <= self.start_threshold < 1:
            raise ValueError("thresholds must satisfy 0 < keep_threshold <= start_threshold < 1")
        if not 0 <= self.tail_s <= min(self.min_end_silence_s, self.end_silence_s, self.complete_silence_s):
            raise ValueError("tail_s must lie between 0 and the shortest silence that ends an utterance")
        if not self.complete_silence_s <= self.incomplete_silence_s:
            raise ValueError("what is unfinished cannot end sooner than what is complete")
        if not self.pre_roll_s + self.min_speech_s < self.long_utterance_s <= self.max_utterance_s:
            raise ValueError("an utterance must be allowed to last longer than its own beginning")


def samples(seconds: float) -> int:
    """At 16 kHz."""
    return round(seconds * RATE)


class Edge(Enum):
    """What a frame changed."""

    NONE = auto()
    STARTED = auto()
    """An utterance is certain now; it began at `Endpointer.onset`."""
    PAUSED = auto()
    """The voice has been silent long enough that this may be the end."""
    RESUMED = auto()
    """It was not: the voice goes on after `PAUSED`."""
    ENDED = auto()
    """The utterance is over; its voice ended at `Endpointer.offset`."""


class Endpointer:
    """The judgement of one stream. Positions are sample indices at 16 kHz."""

    def __init__(self, config: EarsConfig) -> None:
        self._config = config
        self._min_speech = samples(config.min_speech_s)
        self._onset_gap = samples(config.onset_gap_s)
        self._pauses = PauseModel(config.end_silence_s, config.min_end_silence_s, config.max_end_silence_s)
        self._scale = VoiceScale()
        self._pause = samples(config.pause_s)
        self._shortest_silence = samples(config.tail_s)
        self._long = samples(config.long_utterance_s)
        self._max = samples(config.max_utterance_s - config.pre_roll_s)
        self.reset()

    @property
    def end_silence_s(self) -> float:
        """The silence that ends an utterance of this speaker."""
        return self._pauses.end_silence_s

    def reset(self) -> None:
        """Forgets the running utterance, not the speaker."""
        self.speaking = False
        """An utterance is running."""
        self.onset: int | None = None
        """Where the running utterance, or what may become one, began."""
        self.offset = 0
        """One past the last sample of voice."""
        self.voiced = 0
        """Samples of voice since the onset."""
        self.paused = False
        """The running utterance is in a pause that may be its end."""
        self.resumed = 0
        """How often it has gone on after such a pause."""
        self._verdict: float | None = None
        """The probability, if anybody has judged, that this pause is the end."""
        self._advice: Advice | None = None
        """What it was judged by; kept over an end until it is known that it was one."""
        self._ended: int | None = None
        """Where the voice of the utterance before this one ended."""

    def step(self, probability: float, end: int) -> Edge:
        """Judges the frame of `FRAME` samples that ends at `end`."""
        return self._during(probability, end) if self.speaking else self._before(probability, end)

    def judge(self, offset: int, advice: Advice) -> float | None:
        """Somebody who understands speech tells what is known of the pause whose voice ended at `offset`. Returns the
        probability that the turn is complete, or None when it is too late to change anything."""
        if not self.paused or offset != self.offset:
            return None
        self._advice = advice
        self._verdict = self._scale.weigh(advice)
        return self._verdict

    def _before(self, probability: float, end: int) -> Edge:
        if self.onset is None:
            if probability < self._config.start_threshold:
                return Edge.NONE
            self.onset = self.offset = end - FRAME
            self.voiced = 0
        if self._is_voice(probability, end):
            self.offset = end
            self.voiced += FRAME
        elif end - self.offset >= self._onset_gap:
            self.onset = None
        if self.onset is None or self.voiced < self._min_speech:
            return Edge.NONE
        if self._ended is not None:
            self._learn(self.onset - self._ended)
            self._outcome(ended=self.onset - self._ended >= samples(RESUMED_S))
        self.speaking = True
        self.paused = False
        self.resumed = 0
        return Edge.STARTED

    def _during(self, probability: float, end: int) -> Edge:
        assert self.onset is not None
        edge = Edge.NONE
        if self._is_voice(probability, end):
            self._learn(end - FRAME - self.offset)
            self.offset = end
            self.voiced += FRAME
            if self.paused:
                self.paused = False
                self.resumed += 1
                self._outcome(ended=False)
                edge = Edge.RESUMED
        length = end - self.onset
        silence = end - self.offset
        if silence >= self._patience(length) or length + FRAME > self._max:
            self.speaking = self.paused = False
            self.onset = None
            self._ended = self.offset
            return Edge.ENDED
        if silence >= self._pause and not self.paused:
            self.paused = True
            self._verdict = self._advice = None
            return Edge.PAUSED
        return edge

    def _is_voice(self, probability: float, end: int) -> bool:
        """A voice goes on down to the lower threshold, and comes back from silence at the upper one."""
        goes_on = self.offset == end - FRAME
        return probability >= (self._config.keep_threshold if goes_on else self._config.start_threshold)

    def _learn(self, pause: int) -> None:
        if self._config.adaptive and pause < samples(RESUMED_S):
            self._pauses.observe(pause / RATE)

    def _outcome(self, *, ended: bool) -> None:
        """What became of the last pause."""
        if self._advice is not None and self._config.adaptive:
            self._scale.learn(self._advice, ended=ended)
        self._advice = None

    def _patience(self, length: int) -> int:
        """Silence, in samples, that ends an utterance of this length."""
        silence = samples(self._wanted_silence())
        if length <= self._long:
            return silence
        share = min(1.0, (length - self._long) / max(1, self._max - self._long))
        return round(silence + share * (self._shortest_silence - silence))

    def _wanted_silence(self) -> float:
        config, learnt = self._config, self.end_silence_s
        if not self.paused or self._verdict is None:
            return learnt
        odds = math.log(self._verdict / (1 - self._verdict))
        if odds > 0:
            return min(learnt, max(config.complete_silence_s, learnt * math.exp(-_SOONER * odds)))
        return min(max(learnt, config.incomplete_silence_s), learnt * math.exp(-_LATER * odds))

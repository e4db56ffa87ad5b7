"""Whether a voice over the avatar's is an interruption. A pure core: no sound, no clock, only what was noticed when.

The avatar falls silent at the first voice and loses nothing; this decides, within `DECIDE_S`, whether it goes on. What
decides is words. A cough has none, "uh-huh" has some that take the floor from nobody (`hear/backchannel.py`).
"""

from __future__ import annotations

import re
from enum import Enum, auto

from .hear.backchannel import Backchannel, backchannel, plain

DECIDE_S = 2.0
"""From the onset: without words until then it was nothing."""
LONG_VOICE_S = 1.2
"""A voice that has lasted this long, and lasts, is speech even where the recogniser tells words only at the end: fits
of coughing pause, and listening sounds are shorter."""
SHORT_VOICE_S = 0.2
"""One word from less voice than this is what a recogniser makes of a noise."""
ROUGH_VOICE_S = 0.6
"""Any words from less than this, where the recogniser is a rough one: it writes "the flood" for "uh-huh". Listening
sounds are mostly shorter."""

_HALTS = re.compile(
    r"(?:please |hey |no |oh |ok(?:ay)? |well )*(?:stop|wait|hold on|hang on|no|nope|excuse me|listen|quiet|enough|"
    r"shut up|cancel|pause|halt|never mind|(?:one|just a) moment)\b.*"
    r"|(?:ちよと|ちょと|まて|待て|待つて|待って|すとぷ|すとつぷ|やめ|止め|とめ|いや|いいえ|ちがう|違う|すみません|"
    r"すいません|静か|しずか|もういい|不|别|等|停).*"
)
"""Words that ask for the floor by themselves, on the first of which nobody should be talked over."""
_ASKS = re.compile(
    r"(?:hey|sorry|pardon|but|what|why|who|how|when|where|hello|hi)\b.*"
    r"|(?:ねえ|もしもし|でも|なに|何|なんで|なぜ|だれ|誰|どう|喂|什么|为什么|但).*"
)
"""The same, but so short that a rough recogniser takes noises for them."""
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


class Verdict(Enum):
    """What became of a doubtful voice."""

    OPEN = auto()
    REAL = auto()
    """Somebody wants the floor."""
    FALSE = auto()
    """Nobody does: the avatar goes on."""


def takes_floor(text: str, *, final: bool, voiced_s: float, rough: bool = False) -> bool:
    """Whether these words, so far or in the end, ask for the floor. A single word is believed at once only where it
    halts people, since the first guess at a noise is often one word; at the end where there was voice enough for it.
    `rough`: the recogniser makes words of any sound."""
    if backchannel(text) is not Backchannel.NONE:
        return False
    words = plain(text)
    if _HALTS.fullmatch(words):
        return voiced_s >= SHORT_VOICE_S or not rough
    if rough:
        return voiced_s >= ROUGH_VOICE_S
    if _ASKS.fullmatch(words):
        return True
    count = len(_DENSE.findall(words)) / 2 if _DENSE.search(words) else len(words.split())
    return count >= 2 or (final and voiced_s >= SHORT_VOICE_S)


class BargeIn:
    """One voice over the avatar's, from its onset to the verdict. Late words turn FALSE into REAL; REAL stays.

    All times are seconds on the microphone's stream.
    """

    def __init__(self, onset_s: float, *, partials: bool, rough: bool = False) -> None:
        """`partials`: the recogniser tells words while they are said, so that a long voice without words is none.
        `rough`: it makes words of any sound."""
        self._onset_s = onset_s
        self._rough = rough
        self._partials = partials
        self._voiced_s = 0.0
        self.verdict = Verdict.OPEN

    def voice(self, now_s: float, voiced_s: float) -> Verdict:
        """The voice goes on, or its last silence does, up to `now_s`; `voiced_s` of it is voice so far."""
        self._voiced_s = max(self._voiced_s, voiced_s)
        if self.verdict is Verdict.OPEN and not self._partials and self._voiced_s >= LONG_VOICE_S:
            self._decide(Verdict.REAL)
        return self.tick(now_s)

    def tick(self, now_s: float) -> Verdict:
        """Time has passed."""
        if now_s - self._onset_s >= DECIDE_S:
            self._decide(Verdict.FALSE)
        return self.verdict

    def words(self, text: str) -> Verdict:
        """The newest partial transcript of the whole voice."""
        if takes_floor(text, final=False, voiced_s=self._voiced_s, rough=self._rough):
            self._decide(Verdict.REAL)
        return self.verdict

    def final(self, text: str) -> Verdict:
        """The transcript of the whole voice."""
        self._decide(
            Verdict.REAL if takes_floor(text, final=True, voiced_s=self._voiced_s, rough=self._rough) else Verdict.FALSE
        )
        return self.verdict

    def _decide(self, verdict: Verdict) -> None:
        if verdict is Verdict.REAL or self.verdict is Verdict.OPEN:
            self.verdict = verdict

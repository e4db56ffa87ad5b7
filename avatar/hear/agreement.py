"""Which words of a growing partial transcript are settled: LocalAgreement. A pure core: text in, text out.

A recogniser that decodes the same growing sound again and again changes its mind about the end, rarely about the
beginning. What two successive hypotheses agree on is taken as said (LocalAgreement-2: Liu et al. 2020, arXiv
2005.11185; for Whisper: Macháček et al. 2023, arXiv 2307.14743).
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"\s*(?:[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f]"  # kana and ideographs: no spaces between words
    r"|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f]+)"
)


def tokens(text: str) -> list[str]:
    """The units that are compared: words with the space before them, single characters where a script has no spaces."""
    return _TOKEN.findall(text)


_DENSE = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def join(before: str, after: str) -> str:
    """Two pieces of one utterance, with a space where the script has one."""
    if not before or not after:
        return before or after
    dense = _DENSE.match(before[-1]) and _DENSE.match(after[0])
    return before + ("" if dense else " ") + after


def _key(token: str) -> str:
    """Case and punctuation waver as the sentence grows; the word does not."""
    return token.strip(" \t\n.,!?;:…。、！？・\"'“”").casefold()


class LocalAgreement:
    """The settled beginning of one utterance's transcript."""

    def __init__(self) -> None:
        self._previous: list[str] = []
        self._settled: list[str] = []

    @property
    def settled(self) -> str:
        """What will not change any more."""
        return "".join(self._settled)

    def update(self, hypothesis: str) -> str:
        """Takes the newest hypothesis for the whole utterance; returns the text to show: what is settled, then the rest
        of the hypothesis, which may still change.

        The last word of a hypothesis is never settled: the sound may have ended in its middle.
        """
        newest = tokens(hypothesis)
        settled = len(self._settled)
        agreed = settled
        for old, new in zip(self._previous[settled:-1], newest[settled:-1], strict=False):
            if _key(old) != _key(new):
                break
            agreed += 1
        self._settled += newest[settled:agreed]
        self._previous = newest
        return "".join([*self._settled, *newest[len(self._settled) :]])

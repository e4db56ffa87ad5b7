"""Moods that a face can be in, by the names that the neural face uses too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Emotion:
    """What a mood adds to a face's life. Lips keep following speech."""

    smile: float = 0.0
    """Added to the smile, -1 to 1."""
    brow: float = 0.0
    """Added to the brows, -1 to 1."""
    lids: float = 0.0
    """Least closure of the lids, 0 to 1: narrowed eyes."""
    pitch: float = 0.0
    """Degrees that the head hangs."""
    furrow: float = 0.0
    """Of the brows, -1 to 1; this and the next two as in `Coefficients`."""
    sneer: float = 0.0
    skew: float = 0.0


EMOTIONS: Final[dict[str, Emotion]] = {
    "angry": Emotion(smile=-0.7, brow=-0.7, lids=0.12, pitch=1.0, furrow=1.0, sneer=0.15),
    "disgust": Emotion(smile=-0.7, brow=-0.3, lids=0.22, furrow=0.4, sneer=1.0),
    "fear": Emotion(smile=-0.6, brow=0.7, pitch=-0.8, furrow=-0.7),
    "happy": Emotion(smile=0.8, brow=0.2, lids=0.06),
    "neutral": Emotion(),
    "sad": Emotion(smile=-1.0, brow=0.1, lids=0.16, pitch=2.0, furrow=-1.0),
    "surprise": Emotion(smile=-0.1, brow=1.0, pitch=-1.2),
    "contempt": Emotion(smile=-0.4, brow=-0.1, lids=0.2, pitch=-1.5, skew=1.0),
}

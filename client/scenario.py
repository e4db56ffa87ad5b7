"""What a run does with its session, and when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .api import Api
from .conversation import Conversation
from .exits import Refused
from .media import Media
from .microphone import Microphone, seconds
from .options import Options
from .progress import Progress

TAIL_S = 0.5
"""After the server says that a speech has been sent: its last packets are still under way."""
QUIET_S = 2.0
"""Silence after the last reply by which a conversation counts as over."""
PATIENCE_S = 10.0
"""The same while no reply has come at all: a slow recogniser may still be at it."""
FIRST_S = 5.0
"""The longest that the microphone's file waits for the avatar's first sound: nobody speaks to a dark screen."""
LEAD_S = 0.5
"""Silence on the microphone before the file begins, as a person takes to begin; the server's detector settles."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A connected session and everything that plays in it."""

    options: Options
    api: Api
    session_id: str
    talk: Conversation
    media: Media
    microphone: Microphone | None
    show: Progress


async def speak(scene: Scene) -> None:
    """Sends the recording or the text and returns when its speech has been received. Raises `Refused`."""
    options, show = scene.options, scene.show
    length = None
    if options.audio_path is not None:
        show.stage("uploading")
        answer = await scene.api.speech(scene.session_id, options.audio_path)
        length = answer.get("duration_s")
    else:
        assert options.text is not None
        answer = await scene.api.say(scene.session_id, options.text, "avatar")
    show.stage("speaking", float(length) if isinstance(length, int | float) else None)
    await _turn(scene, str(answer.get("turn_id")))
    await _pause(scene, TAIL_S)


async def converse(scene: Scene) -> None:
    """Sends the line, plays the microphone's file, and returns when the last reply has been received."""
    options, show, talk = scene.options, scene.show, scene.talk
    turn_id = None
    if options.chat is not None:
        turn_id = str((await scene.api.say(scene.session_id, options.chat, "user")).get("turn_id"))
    if options.mic_path is not None:
        await _play(scene)
    if turn_id is not None:
        show.stage("waiting for the reply")
        await _turn(scene, turn_id)
    show.stage("listening")
    ended = time.monotonic()
    await _until(scene, lambda: _settled(talk, scene.media, ended))
    if not talk.turns:
        show.note("There was no reply.")


async def _play(scene: Scene) -> None:
    """The microphone's file, from its beginning to its end."""
    microphone = scene.microphone
    assert microphone is not None and scene.options.mic_path is not None
    length = seconds(scene.options.mic_path)
    scene.show.stage("microphone", length + LEAD_S if length else None)
    end = time.monotonic() + FIRST_S
    await _until(scene, lambda: scene.media.sound.first is not None or time.monotonic() > end)
    await _pause(scene, LEAD_S)
    microphone.play()
    await _until(scene, microphone.finished.is_set)
    if microphone.failure is not None:
        raise microphone.failure


async def _turn(scene: Scene, turn_id: str) -> None:
    """Waits for the end of a turn. Raises `Refused` when nothing of it could be spoken."""
    talk = scene.talk

    def over() -> bool:
        # The bar of a speech of known length runs from its first sound.
        scene.show.advance(time.monotonic() - talk.started if talk.started is not None else None)
        return turn_id in talk.turns

    await talk.until(over)
    error = talk.turns[turn_id].get("error")
    if error and turn_id not in talk.told:
        raise Refused(str(error))


def _settled(talk: Conversation, media: Media, ended: float) -> bool:
    """Nothing is being said, thought or about to be said."""
    if talk.speaking or talk.state not in ("", "idle", "listening"):
        return False
    quiet_since = max(ended, talk.active, media.sound.last_audible or 0.0)
    return time.monotonic() - quiet_since > (QUIET_S if talk.turns else PATIENCE_S)


async def _until(scene: Scene, condition: Callable[[], bool]) -> None:
    def look() -> bool:
        scene.show.advance()
        return condition()

    await scene.talk.until(look)


async def _pause(scene: Scene, length: float) -> None:
    end = time.monotonic() + length
    await _until(scene, lambda: time.monotonic() >= end)

"""A session's data channel: what it tells goes out as RTVI frames, what the client asks is done or refused."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import AvatarError, Invalid
from ..events import Event, SessionChanged
from ..quality import client_digest
from ..session import Session
from ..turns import Request
from . import rtvi
from .limits import LIMITS

log = logging.getLogger(__name__)

KEPT_FRAMES = 1000
"""Frames that a client who comes back may have missed: a minute holds a few hundred at most."""
IGNORED = {"append-to-context", "llm-function-call-result", "dtmf", "ui-event", "ui-snapshot", "ui-cancel-job-group"}
"""Frames of the Pipecat clients that ask for things which this service does not have; silence is what they expect."""


class Channel:
    """Translates between one session and its client's data channel."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sent: deque[tuple[float, str]] = deque(maxlen=KEPT_FRAMES)
        """Newest frames and when they were sent, monotonic seconds."""
        self._missed: deque[str] | None = None
        """What a client that came back is told once it is ready."""
        self._greets = False
        """The client says when it is ready; not every one does."""
        self._handlers: dict[str, Callable[[rtvi.Incoming], None]] = {
            "client-ready": self._ready,
            "send-text": self._send_text,
            "client-message": self._client_message,
            "disconnect-bot": lambda frame: session.end("the client asked for it"),
        }
        session.on_event = self.tell
        session.on_text = self.hear
        session.on_return = self._returned

    def tell(self, event: Event) -> None:
        """Sends an event."""
        for frame in rtvi.encode(event):
            self._send(frame)

    def hear(self, text: str) -> None:
        """Does what a frame from the client asks."""
        frame = rtvi.decode(text)
        if frame is None or frame.type in IGNORED:
            return
        handler = self._handlers.get(frame.type)
        if handler is None:
            log.debug("a frame of unknown type %r", frame.type[:40])
            return
        try:
            handler(frame)
        except AvatarError as error:
            self._refuse(frame, error)
        except Exception:  # one frame must not cost the conversation
            log.exception("a frame of type %r failed", frame.type[:40])
            self._refuse(frame, AvatarError("Something went wrong in the server; its log says what."))

    def _refuse(self, frame: rtvi.Incoming, error: AvatarError) -> None:
        if frame.type == "client-message":
            self._send(rtvi.error_response(frame.id, error.message, error.body()["error"]))
        else:
            self._send(rtvi.error(error.message))

    def _ready(self, frame: rtvi.Incoming) -> None:
        session, self._greets = self._session, True
        about: dict[str, Any] = {"library": "streaming-avatar", "session_id": session.id}
        if session.peer is not None:
            about["media"] = session.peer.media_origin()
        missed, self._missed = self._missed or (), None
        self._send(rtvi.bot_ready(frame.id, about))
        for text in missed:
            self._send(text)
        self.tell(SessionChanged(session.effective()))
        self._send(rtvi.message("server-message", {"t": "state", "state": session.state}))

    def _send_text(self, frame: rtvi.Incoming) -> None:
        content = frame.data.get("content")
        if not isinstance(content, str) or not content.strip():
            raise Invalid("send-text needs a content that is a text and not empty.", field="content")
        if len(content) > LIMITS["text_characters"]:
            raise Invalid(f"A text may hold at most {LIMITS['text_characters']} characters.", field="content")
        options = frame.data.get("options")
        at_once = options.get("run_immediately", True) if isinstance(options, dict) else True
        request = Request("user", time.monotonic(), text=content.strip())
        self._session.ask(request, interrupt=bool(at_once))

    def _client_message(self, frame: rtvi.Incoming) -> None:
        t, d = frame.data.get("t"), frame.data.get("d")
        match t:
            case "session.update":
                if not isinstance(d, dict):
                    raise Invalid("session.update needs an object of tunables in d.", field="d")
                self._session.update(d)
                self._send(rtvi.response(frame.id, t, self._session.effective()))
            case "stats":
                self._session.quality.report(client_digest(d))
                self._send(rtvi.response(frame.id, t, self._session.quality.now()))
            case "interrupt":
                event = self._session.interrupt(time.monotonic())
                done = {"turn_id": None, "heard_text": "", "heard_s": 0.0}
                if event is not None:
                    done = {"turn_id": event.turn_id, "heard_text": event.heard_text, "heard_s": event.heard_s}
                self._send(rtvi.response(frame.id, t, done))
            case _:
                raise Invalid(f"There is no client-message {t!r}; session.update, stats and interrupt are.", field="t")

    def _returned(self, since: float) -> None:
        """Another connection has taken the place of one that was last heard at `since`."""
        if self._missed is not None:
            return
        missed = deque((text for at, text in self._sent if at > since), KEPT_FRAMES)
        if self._greets:
            self._missed = missed
        elif self._session.peer is not None:
            for text in missed:
                self._session.peer.send_text(text)

    def _send(self, text: str) -> None:
        self._sent.append((time.monotonic(), text))
        if self._missed is not None:
            self._missed.append(text)
        elif self._session.peer is not None:
            self._session.peer.send_text(text)

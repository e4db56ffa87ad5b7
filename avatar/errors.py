"""The few named errors. They are caught at two borders only: the HTTP routes and the session."""

from __future__ import annotations

from typing import Any


class AvatarError(Exception):
    """An error that a person can act on.

    `code` is stable snake_case for programs, `message` one sentence for people, `status` the HTTP status that a route
    answers with.
    """

    status = 500
    code = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        retry_after_s: int | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.field = field
        self.retry_after_s = retry_after_s
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON body that every native route answers an error with."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.field is not None:
            error["field"] = self.field
        if self.retry_after_s is not None:
            error["retry_after_s"] = self.retry_after_s
        return {"error": error | self.extra}


class BadRequest(AvatarError):
    """The request cannot be read: not JSON, not SDP."""

    status, code = 400, "bad_request"


class Unauthorized(AvatarError):
    status, code = 401, "unauthorized"


class NotFound(AvatarError):
    status, code = 404, "not_found"


class TooLarge(AvatarError):
    """A body, a text or a picture is over its limit."""

    status, code = 413, "too_large"


class UnsupportedMedia(AvatarError):
    """The wrong kind of file."""

    status, code = 415, "unsupported_media"


class Invalid(AvatarError):
    """Readable, but a name, type or value in it is wrong."""

    status, code = 422, "invalid"


class AtCapacity(AvatarError):
    status, code = 503, "at_capacity"


class NotReady(AvatarError):
    """Something the request needs is not loaded or not installed."""

    status, code = 503, "not_ready"


class EngineError(AvatarError):
    """An engine (recognition, language model, voice, face) failed; the conversation goes on."""

    status, code = 502, "engine_failed"

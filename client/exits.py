"""How a run can end: the errors that the command line turns into exit codes."""

from __future__ import annotations

DONE = 0
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


class ClientError(Exception):
    """An end that a person can act on. `code` is the exit code, the message one sentence."""

    code = 1


class Usage(ClientError):
    """The command line cannot be carried out as it stands."""

    code = 2


class TimedOut(ClientError):
    """`--timeout` has passed."""

    code = 3


class Refused(ClientError):
    """The server answered, and said no."""

    code = 4

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, 0 when the refusal came another way."""


class Lost(ClientError):
    """There is no connection, or there is none any more."""

    code = 5

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        """The machine answers, and nobody listens there."""

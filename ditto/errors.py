"""What can go wrong here, in words for a person. Everything that `ditto` raises on purpose is one of these."""

from __future__ import annotations


class DittoError(Exception):
    """A sentence that says what is wrong and what to do."""


class BadCheckpoint(DittoError):
    """A file of weights or a configuration cannot be used: missing, cut short, of other shapes, or not safe to read."""


class Unavailable(DittoError):
    """A backend cannot run here: a library, a driver or a device is missing or too old."""


class OutOfMemory(DittoError):
    """The device has no room for one more avatar or batch. What runs already goes on."""


class DeviceLost(DittoError):
    """The device stopped answering; nothing on it can be used any more."""

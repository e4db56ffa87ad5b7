"""The certificate with which the server itself speaks HTTPS."""

from __future__ import annotations

import ssl
from pathlib import Path

from ..errors import Invalid


class _LockedError(Exception):
    pass


def context(certificate: str, key: str | None) -> ssl.SSLContext:
    """For a PEM file with the chain and one with its key; None: the same file holds both. Raises `Invalid` in words for
    files that cannot be used; nobody is asked for a passphrase, for a service has nobody to ask."""
    for path in (certificate, key or certificate):
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise _bad(f"{path}: {error.strerror or error}.") from None

    def passphrase() -> str:
        raise _LockedError

    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        made.load_cert_chain(certificate, key, passphrase)
    except _LockedError:
        raise _bad(f"the key in {key or certificate} asks for a passphrase; give one without.") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _bad(f"the key in {key or certificate} does not belong to {certificate}.") from None
        if key is None:
            raise _bad(f"{certificate} must hold it and its key in PEM, or --ssl-key must name the key.") from None
        raise _bad(f"{certificate} and {key} must hold a chain and its key in PEM.") from None
    return made


def _bad(words: str) -> Invalid:
    return Invalid(f"The certificate cannot be used: {words}", field="ssl_cert")

"""JSON as it comes from outside."""

from __future__ import annotations

import json
from typing import Any


def loads(text: str) -> Any:
    """The value of a JSON text. NaN and the infinities are read as such, so that what checks numbers can name the field
    they stand in; lone surrogates, which no later step could encode, become question marks.

    Raises `ValueError` or `RecursionError` for what is no JSON.
    """
    value = json.loads(text)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return value

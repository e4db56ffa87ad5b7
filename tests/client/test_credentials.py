import os
from pathlib import Path

import pytest

from avatar.serve.access import keep_token, token_file
from client.credentials import find_token, is_this_machine

LOCAL = "http://localhost:8000"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state directory holds the token of a server on port 8000."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("AVATAR_TOKEN", raising=False)
    keep_token(8000, "kept")


def test_flag_then_environment_then_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_token(None, LOCAL) == "kept"
    assert find_token(None, "http://127.0.0.1:8000") == "kept"
    monkeypatch.setenv("AVATAR_TOKEN", "variable")
    assert find_token(None, LOCAL) == "variable"
    assert find_token("flag", LOCAL) == "flag"


def test_another_port_has_another_token() -> None:
    assert find_token(None, "http://localhost:8001") is None


def test_the_kept_token_never_travels_to_another_machine() -> None:
    # 192.0.2.0/24 is set aside for documentation (RFC 5737): no machine of ours has it.
    assert find_token(None, "http://192.0.2.7:8000") is None
    assert not is_this_machine("192.0.2.7")


def test_a_file_that_others_can_read_is_not_trusted() -> None:
    os.chmod(token_file(8000), 0o644)
    assert find_token(None, LOCAL) is None

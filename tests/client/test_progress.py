import io

import pytest

from client.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_plain_lines() -> None:
    stream = io.StringIO()
    show = Progress(stream)
    show.stage("connecting")
    show.stage("connecting")
    show.advance()
    show.stage("speaking", 12.5)
    show.advance(3)
    show.note("avatar: Hello.")
    show.close()
    assert stream.getvalue().splitlines() == ["connecting", "speaking (12.5 s)", "avatar: Hello."]


def test_a_long_stage_shows_life_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("client.progress.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    show = Progress(stream)
    show.stage("speaking", 60)
    for clock[0] in (101.0, 104.0, 106.0, 107.0, 112.0):
        show.advance()
    assert stream.getvalue().splitlines() == ["speaking (60.0 s)", "speaking: 6 of 60 s", "speaking: 12 of 60 s"]


def test_a_terminal_gets_a_bar_and_lasting_lines() -> None:
    stream = Terminal()
    show = Progress(stream)
    show.stage("speaking", 10)
    show.advance(5)
    show.note("avatar: Hello.")
    show.advance(25)  # more than announced is no error
    show.close()
    shown = stream.getvalue()
    assert "5.0/10.0 s" in shown
    assert "avatar: Hello.\n" in shown
    assert "10.0/10.0 s" in shown

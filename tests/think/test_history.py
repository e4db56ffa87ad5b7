from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from avatar.think.history import DEFAULT_ROLE, SPEECH_RULES, History, system_prompt
from avatar.types import Message


def said(history: History) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in history.messages()[1:]]


def test_the_head_says_how_to_speak_in_which_language_and_role() -> None:
    assert SPEECH_RULES in system_prompt(None) and DEFAULT_ROLE in system_prompt(None)
    assert "Japanese" in system_prompt(None, "ja-JP")
    assert system_prompt("You are a pirate.").endswith("You are a pirate.")
    assert DEFAULT_ROLE not in system_prompt("You are a pirate.")


def test_a_turn_after_the_other() -> None:
    history = History(None)
    history.add_user(" Hello ")
    history.add_assistant("Hi.")
    history.add_user("   ")
    history.add_user("How are you?")
    assert said(history) == [("user", "Hello"), ("assistant", "Hi."), ("user", "How are you?")]


def test_an_unanswered_turn_is_joined_with_the_next() -> None:
    history = History(None)
    history.add_user("Tell me")
    history.add_assistant(" ")
    history.add_user("a story.")
    assert said(history) == [("user", "Tell me\na story.")]


def test_what_is_said_one_after_the_other_is_one_message() -> None:
    history = History(None)
    history.add_user("Hello")
    history.add_assistant("Hi.")
    history.add_assistant("By the way")
    assert said(history) == [("user", "Hello"), ("assistant", "Hi.\nBy the way")]


def test_an_unanswered_turn_can_be_taken_back_an_answered_one_cannot() -> None:
    history = History(None)
    history.add_user("What is")
    history.take_back_user()
    history.add_user("What is the time?")
    assert said(history) == [("user", "What is the time?")]
    history.add_assistant("Noon.")
    history.take_back_user()
    assert said(history) == [("user", "What is the time?"), ("assistant", "Noon.")]


def test_supposing_changes_nothing() -> None:
    history = History(None)
    history.add_user("Hello")
    history.add_assistant("Hi.")
    before = history.messages()
    supposed = history.supposing("What is the time?")
    assert history.messages() == before
    history.add_user("What is the time?")
    assert history.messages() == supposed


def test_a_greeting_goes_into_the_head() -> None:
    history = History(None)
    history.add_assistant("Hello! I am listening.")
    history.add_user("Hi")
    assert history.messages()[0].text.endswith("You opened the conversation by saying: Hello! I am listening.")
    assert said(history) == [("user", "Hi")]


def test_new_instructions_change_the_head_alone() -> None:
    history = History("A")
    history.add_user("Hi")
    before = history.messages()
    history.instruct("B", "ja")
    assert history.messages()[1:] == before[1:]
    assert history.messages()[0].text == system_prompt("B", "ja")


@given(st.lists(st.tuples(st.text(min_size=1, max_size=30), st.text(max_size=60)), max_size=60))
def test_the_bounds_hold_and_the_newest_turn_stays(turns: list[tuple[str, str]]) -> None:
    history = History(None, max_chars=200, max_turns=6)
    for user, assistant in turns:
        history.add_user(user)
        history.add_assistant(assistant)
        rest = history.messages()[1:]
        assert len(rest) <= 12
        assert sum(len(m.text) for m in rest) <= 200 + len(rest)
        if user.strip():
            spoken = [m for m in rest if m.role == "user"]
            assert spoken[-1].text.endswith(user.strip())


def test_an_avatar_that_is_only_made_to_speak_fills_no_prompt() -> None:
    history = History(None, max_chars=200, max_turns=6)
    for number in range(50):
        history.add_assistant(f"Announcement {number} to everybody in the house.")
    assert len(history.messages()[0].text) < len(system_prompt(None)) + 300
    assert "Announcement 49 " in history.messages()[0].text
    history.add_user("Thank you.")
    for number in range(50):
        history.add_assistant(f"Announcement {number} to everybody in the house.")
    user, said = history.messages()[1:]
    assert user.text == "Thank you." and len(said.text) <= 210 and "Announcement 49 " in said.text
    history.add_user("And now?")
    assert [message.role for message in history.messages()] == ["system", "user", "assistant", "user"]


def test_between_trims_the_history_only_grows_and_trims_are_rare() -> None:
    history = History(None, max_chars=10_000, max_turns=8)
    trims = 0
    before = history.messages()
    for number in range(100):
        history.add_user(f"question {number}")
        history.add_assistant(f"answer {number}")
        after = history.messages()
        trims += after[: len(before)] != before
        before = after
    assert 0 < trims <= 100 / 4


class Conversation(RuleBasedStateMachine):
    """Whatever order a session calls in, a chat template gets what it insists on."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History("Be brief.", max_chars=300, max_turns=5)

    @rule(text=st.text(max_size=40))
    def user(self, text: str) -> None:
        self.history.add_user(text)

    @rule(text=st.text(max_size=40))
    def revised(self, text: str) -> None:
        before = self.history.messages()
        supposed = self.history.supposing(text)
        assert self.history.messages() == before
        self.history.take_back_user()
        self.history.add_user(text)
        assert len(supposed) >= 1

    @rule(text=st.text(max_size=80))
    def assistant(self, text: str) -> None:
        self.history.add_assistant(text)

    @invariant()
    def alternates_after_one_system_message(self) -> None:
        messages = self.history.messages()
        assert [m.role for m in messages[:2]] in (["system"], ["system", "user"])
        assert all(a.role != b.role for a, b in pairwise(messages))
        assert all(isinstance(m, Message) and m.text.strip() for m in messages)
        assert self.history.messages() == messages


TestConversation = Conversation.TestCase

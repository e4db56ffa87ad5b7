"""Do the words so far make a whole turn? A pure core.

A coarse syntax check, for three languages, of how an utterance ends when the speaker pauses: after a conjunction, an
article or a case particle nobody has finished, whatever the silence; after 「です」 or a whole question they may have.
It is silent about the rest, and `verdict.py` weighs it with what a model makes of the voice.
"""

from __future__ import annotations

import re

UNFINISHED, FRAGMENT, UNKNOWN, WHOLE = 0.1, 0.25, 0.5, 0.75
"""Probabilities that the turn is complete. A sentence that could end often goes on ("I stayed at home … because"), so
`WHOLE` shortens a silence less than `UNFINISHED` lengthens it. A `FRAGMENT` is how a sentence begins ("my brother …",
"after the meeting …"), and now and then a whole answer."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")
_KANA = re.compile(r"[\u3040-\u30ff]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPEN = (
    _words("a an the my your his its our their these those every each some any another")
    | _words("and or but because if although though unless until while whereas since whether plus cause cuz")
    | _words(
        "of to into onto at by for from with about between among without within during toward towards near per via"
    )
    # subjects and contractions that want a verb
    | _words("i we they he she i'm we're they're he's she's it's i'd we'd i'll we'll they'll i've we've there's that's")
    | _words("um uh er erm uhm like gonna wanna gotta very quite rather so")
    | _words("is are was were am be been let")
)
_STRANDED = _words("to of at by for from with about into near is are was were be like")
"""Of those, what may end a question: "Where are you from", "Can you tell me what it is like"."""
_OPEN_PHRASE = re.compile(
    r"(?:let me (?:think|see)|i was wondering|for example|such as|in order|kind of|sort of|"
    r"do you know|can you tell me|could you tell me|tell me|i want|i would like|i'd like|i need|"
    r"first of all|on the other hand|by the way|as soon as|as well as|at the moment when|"
    r"(?:think|thinks|thought|say|says|said|believe|know|knows|knew|hope|hopes|sure|afraid|told \w+|heard|so|such) "
    r"that)$"
)
_TAG = re.compile(r"(?:you know|i mean|i think|i guess|i believe|i hope|i suppose)$")
"""Before a sentence these want one; behind it they end it."""
_TAG_AFTER = 20
"""Characters before such a tag that are a sentence even without a verb that is known here."""
_WHAT_CLAUSE = re.compile(
    r"what (?:i|you|we|they|he|she) (?!(?:is|are|was|were|do|does|did|can|could|will|would|should)\b)"
)
_CLEFT = re.compile(r" (?:is|was) \w+ \w+")
"""Of "what I wanted to ask is whether …": the verb that such a clause needs behind it, and some words."""
_BEGINS = _words(
    "a an the my your his her its our their this these those some every each any another all both most "
    "of to into at by for from with about between among without within during toward towards near "
    "after before on in over under through since until behind beside next last"
)
"""A phrase without a verb that begins so is rather the beginning of a sentence than an answer."""
_CONDITION = re.compile(r"(?:if|because|although|though|unless|once|as soon as|even if|in case|since|while)\b")
_WHEN = re.compile(r"when (?!is|are|was|were|do|does|did|will|can|could|should|would|shall|has|have)")
_CONDITION_WORDS = 9
"""A condition of fewer words has no main clause behind it yet."""
_QUESTION = re.compile(
    r"\b(?:(?:what|who|whose|which|when|where|why|how) (?:\w+ ){0,2}?(?:is|are|was|were|do|does|did|can|could|will|"
    r"would|should|may|have|has)|what's|who's|where's|how's|how about|what about|"
    r"(?:is|are|was|were|do|does|did|can|could|will|would|should|may|have|has|shall) "
    r"(?:i|you|he|she|it|we|they|there|this|that|the|a|an|my|your|his|her|our|their|anyone|someone|somebody|anybody))\b"
)
_QUESTION_WORDS = 3
_IMPERATIVE = re.compile(
    r"(?:(?:so|and|but|okay|well|hey|hello|hi|now|then|please|just) )*(?:please|tell|give|show|help|remind|let's|call|"
    r"play|open|close|set|stop|start|find|look|take|make|put|go|come|bring|explain|describe|turn|read|say|repeat|write|send|"
    r"wait|don't|do not|add|remove|change|check|use|try|keep|buy|book|order|sing|count|translate|thank)\b"
)
_IMPERATIVE_WORDS = 4
_VERB = re.compile(
    r"\b(?:am|is|are|was|were|i'm|you're|he's|she's|it's|we're|they're|that's|there's|have|has|had|i've|you've|we've|"
    r"do|does|did|don't|doesn't|didn't|can|can't|could|couldn't|will|won't|i'll|you'll|we'll|would|i'd|should|must|may|"
    r"might|isn't|aren't|wasn't|weren't|like|likes|want|wants|need|needs|think|know|knows|love|loves|live|lives|work|"
    r"works|feel|feels|seem|seems|look|looks|hope|go|goes|went|came|said|says|saw|got|made|took|told|\w{2,}ed)\b"
)
_AFTER_VERB = 3
"""Words after its first verb that make a statement: "I am your avatar", not "I am in the"."""

_JA_OPEN = re.compile(
    r"(?:は|が|を|に|へ|と|も|や|から|ので|けど|けれど|けれども|のに|たら|れば|なら|とか|という|といった|ながら|より|"
    r"までに?|について|に関して|として|ため(?:に)?|とき(?:に)?|時(?:に)?|場合|そして|それで|それから|でも|しかし|だから|"
    r"たとえば|例えば|もし|えー*っ?と|ええと|うーんと?|あの[ーう]?|その[ーう]?|なんか|まあ|[^\W\d_]で|し、?)$"
)
_JA_WHOLE = re.compile(
    r"(?:です|ます|でした|ました|ません|ませんでした|でしょう|ましょう|ください|下さい|お願いします|ありがとう(?:ございます)?|"
    r"(?:です|ます|でした|ました|ません|でしょう|の|かな|だろう)?か|だよ?|だね|よね?|ね|たい|ない|なさい|かしら|こんにち[はわ]|"
    r"こんばん[はわ]|さようなら|もしもし|はい|いいえ)$"
)
_ZH_OPEN = re.compile(
    r"(?:的|和|跟|但是|可是|因为|所以|如果|要是|虽然|而且|还有|或者|然后|就是|那个|这个|在|把|被|对于|关于|比如|首先|那么|嗯|呃)$"
)
_ZH_WHOLE = re.compile(r"(?:吗|呢|吧|了|啊|谢谢|你好|再见|什么|哪里|多少|怎么样|谁)$")


def completeness(text: str) -> float:
    """The probability, as far as the words tell, that a speaker who pauses after `text` has finished: one of the three
    constants above. No words tell nothing."""
    plain = "".join(text.split()) if _DENSE.search(text) else ""
    if plain:
        return _dense(re.sub(r"[\W_]+$", "", plain))
    words = [word.replace("’", "'").casefold() for word in _WORD.findall(text)]
    return _latin(words) if words else UNKNOWN


def _dense(text: str) -> float:
    japanese = _KANA.search(text) is not None
    unfinished, whole = (_JA_OPEN, _JA_WHOLE) if japanese else (_ZH_OPEN, _ZH_WHOLE)
    if whole.search(text):
        return WHOLE
    return UNFINISHED if unfinished.search(text) else UNKNOWN


def _latin(words: list[str]) -> float:
    line = " ".join(words)
    question = _QUESTION.search(line) is not None and len(words) >= _QUESTION_WORDS
    if words[-1] in _OPEN and not (question and words[-1] in _STRANDED):
        return UNFINISHED
    if _OPEN_PHRASE.search(line):
        return UNFINISHED
    if (tag := _TAG.search(line)) is not None:
        return UNKNOWN if _VERB.search(line[: tag.start()]) or tag.start() > _TAG_AFTER else UNFINISHED
    if _WHAT_CLAUSE.match(line) and not _CLEFT.search(line):
        return UNFINISHED
    if len(words) < _CONDITION_WORDS and (_CONDITION.match(line) or _WHEN.match(line)):
        return UNFINISHED
    if question or (_IMPERATIVE.match(line) and len(words) >= _IMPERATIVE_WORDS):
        return WHOLE
    verb = _VERB.search(line)
    if verb is None:
        return FRAGMENT if words[0] in _BEGINS and len(words) > 1 else UNKNOWN
    return WHOLE if len(line[verb.end() :].split()) >= _AFTER_VERB else UNKNOWN

"""Which sentences ask for something: questions, and imperatives whose verb wants an answer ("work out", "find").

Imperatives that only tell how a value changes ("take 3 away", "keep the even numbers") ask for nothing by themselves:
they are parts of a longer question. English only; a sentence in another language asks by its question mark.
"""

from __future__ import annotations

import re

_SENTENCE_BORDER = re.compile(r"(?<=[.?!])\s+|\s*\n\s*")
_COURTESY = re.compile(
    r"\s*(?:please|kindly|also|now|and|so|okay|ok|hey|hi|hello|let's|let us|can you|could you|would you|will you|"
    r"i want you to|i(?:'d| would) like you to|i need you to|help me(?: to)?|you should|you have to|tell me(?=:))\b\s*"
    r"|[,:;-]\s*",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"(?:work out|compute|calculate|find|solve|count|determine|evaluate|tell me|figure out|add up|sum up|give me|say|"
    r"state|name|list|answer|explain|describe|translate|summari[sz]e|decide|what|what's|whats|how many|how much|"
    r"i need|i(?:'d| would) like to know|i want to know)\b",
    re.IGNORECASE,
)
_MAKING = re.compile(
    r"(?:write|create|code|program|make|build|define|implement|draft|compose|generate|design|develop|give me code|"
    r"python)\b",
    re.IGNORECASE,
)
_EXPRESSION = re.compile(r"(?=.*\d\s*[-+*/])[-+*/=().\d\s]+\Z")
_ABOUT_CODE = re.compile(r"\b(?:function|program|script|code|def|python|method|class|regex|query)\b|```", re.IGNORECASE)


def sentences(text: str) -> list[str]:
    """The sentences of a text, without the space between them."""
    return [sentence for sentence in _SENTENCE_BORDER.split(text.strip()) if sentence]


def plainly(sentence: str) -> str:
    """A sentence without the courtesy before it: "Please, could you work out 3 + 4" is "work out 3 + 4"."""
    while found := _COURTESY.match(sentence):
        sentence = sentence[found.end() :]
    return sentence


def asks(text: str) -> bool:
    """Whether any sentence of a text wants an answer."""
    return any(_asks(sentence) for sentence in sentences(text))


def asks_for_code(text: str) -> bool:
    """Whether a text wants something written rather than answered: code, a poem, a letter."""
    return _ABOUT_CODE.search(text) is not None or any(_MAKING.match(plainly(s)) for s in sentences(text))


def _asks(sentence: str) -> bool:
    if sentence.rstrip("\"')").endswith("?"):
        return True
    plain = plainly(sentence)
    return bool(_ASKING.match(plain) or _MAKING.match(plain) or _EXPRESSION.match(plain))

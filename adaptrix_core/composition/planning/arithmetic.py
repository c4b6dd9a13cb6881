"""What is to be done with an earlier answer: "add 5 to it", "take 3 away from the result", "double that".

Makes a question of it that stands alone, "What is {0} + 5?". English only.
"""

from __future__ import annotations

import re

from adaptrix_core.composition.planning.asking import plainly
from adaptrix_core.composition.planning.plan import place
from adaptrix_core.composition.planning.references import with_places

_SMALL = (  # noqa: SIM905 - words in a line read better than twenty quoted ones
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_NUMBERS = {word: value for value, word in enumerate(_SMALL)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_WORDS = "|".join(sorted(_NUMBERS, key=len, reverse=True))
_NUMBER = rf"(?P<number>\d{{1,9}}(?:\.\d{{1,9}})?|(?:{_WORDS})(?:-(?:{_WORDS}))?)\b(?:\s+(?:more|points))?"
_NOUN = r"(?:final |last |previous )?(?:result|answer|number|total|sum|value|amount|count|figure|outcome|solution)"
_IT = (
    rf"(?:it|that|this|(?:the|that|this|your|its) {_NOUN}"
    r"(?: (?:of|from|to|in) (?:step |part |question )?\(?[1-8a-h]\)?)?"
    r"|(?:what|whatever)(?: number)? you (?:got|get|found|have found|find)|\{\d\})(?!\w)(?!\s+(?:many|of)\b)"
)
_SPEAKS_OF_IT = re.compile(rf"\b{_IT}|\{{\d\}}", re.IGNORECASE)
_SAYING = (
    r"(?:what is|what's|what|give me|tell me what|tell me|give me what|state|work out|compute|calculate|find|determine)"
)
_OPERATIONS = (
    (re.compile(rf"(?:add|added|put) {_NUMBER}(?: (?:to|onto) {_IT})?", re.IGNORECASE), "{it} + {number}"),
    (re.compile(rf"(?:add) (?:to {_IT}) {_NUMBER}", re.IGNORECASE), "{it} + {number}"),
    (re.compile(rf"add {_IT} to {_NUMBER}", re.IGNORECASE), "{it} + {number}"),
    (re.compile(rf"(?:increase|raise) {_IT} by {_NUMBER}", re.IGNORECASE), "{it} + {number}"),
    (
        re.compile(
            rf"(?:subtract|subtracted|take away|take off|take|deduct|remove) {_NUMBER}(?: away| off)?(?: from {_IT})?",
            re.IGNORECASE,
        ),
        "{it} - {number}",
    ),
    (re.compile(rf"(?:decrease|reduce|lower|lessen) {_IT} by {_NUMBER}", re.IGNORECASE), "{it} - {number}"),
    (re.compile(rf"(?:subtract|take) {_IT}(?: away)? from {_NUMBER}", re.IGNORECASE), "{number} - {it}"),
    (re.compile(rf"(?:multiply) {_IT} (?:by|with) {_NUMBER}", re.IGNORECASE), "{it} * {number}"),
    (re.compile(rf"(?:to|onto) {_IT},? add {_NUMBER}", re.IGNORECASE), "{it} + {number}"),
    (re.compile(rf"from {_IT},? (?:subtract|take away|take) {_NUMBER}", re.IGNORECASE), "{it} - {number}"),
    (re.compile(rf"(?:{_SAYING} {_IT} )?plus {_NUMBER}", re.IGNORECASE), "{it} + {number}"),
    (re.compile(rf"(?:{_SAYING} {_IT} )?minus {_NUMBER}", re.IGNORECASE), "{it} - {number}"),
    (re.compile(rf"{_SAYING} {_NUMBER} than {_IT}(?: is)?", re.IGNORECASE), "{it} + {number}"),
    (re.compile(rf"{_SAYING} {_NUMBER} (?:less|fewer) than {_IT}(?: is)?", re.IGNORECASE), "{it} - {number}"),
    (re.compile(rf"double {_IT}", re.IGNORECASE), "{it} + {it}"),
    (re.compile(rf"triple {_IT}", re.IGNORECASE), "{it} + {it} + {it}"),
)
_TAKEN = re.compile(
    rf"(?:take|use|using|with|start with|start from) {_IT},?\s*(?:and |then |and then )?", re.IGNORECASE
)
_JOINED = re.compile(r"\s*(?:,\s*)?(?:and then|then|and|,)\s+", re.IGNORECASE)
_ASKED = re.compile(
    r"\A(?:then|(?:what (?:do i|do you|will i|would i|number do i) (?:get|have)"
    r"|how much (?:do i|is it|is that)(?: get| have)?),? (?:if|when) (?:i|you|we)"
    r"|(?:i(?:'d| would)? (?:also )?(?:want|like) to know )?what (?:i|you) get (?:if|when) (?:i|you)"
    r"|(?:what )?if (?:i|you|we)|you(?: should| must| have to)?(?: then)?) ",
    re.IGNORECASE,
)
_RESULT = (
    r"(?:the (?:final )?(?:result|number|answer|total)|what you get|what is left|how (?:much|many) (?:that|it) is)"
)
_CLOSINGS = (
    rf"please|for me|tell me {_RESULT}|what (?:do|did) (?:i|you) (?:get|have|end up with)(?: then| now)?|what is left"
    r"|what remains|what number do you get|what is the (?:final )?(?:result|answer|number|total)"
    r"|what does that (?:make|give)|how (?:much|many) is (?:that|it|left)"
)
_CLOSING = re.compile(rf"(?:[.,;]?\s*(?:and )?(?:{_CLOSINGS})\s*[?.!]*)+$", re.IGNORECASE)
_PLACE = re.compile(r"\{\d\}")
_MOST_OPERATIONS = 4


def done_with_it(text: str, number: int, may_leave_it_out: bool) -> str | None:
    """What step ``number`` does with an earlier answer, as a question; None where it says anything else besides.

    may_leave_it_out: whether "add 5" alone is about the answer of the step before.
    """
    rest = _ASKED.sub("", plainly(text.strip()), count=1)
    rest = with_places(_CLOSING.sub("", rest).strip(" .!?;:"), number)
    taken = None if _operation(rest) else _TAKEN.match(rest)
    speaks_of_it = taken is not None
    named = set(_PLACE.findall(rest)) or {place(number - 1)}
    if len(named) > 1:
        return None
    (expression,) = named
    if taken:
        rest = rest[taken.end() :]
    for operations in range(_MOST_OPERATIONS):
        found = _operation(rest)
        if found is None:
            return None
        match, form, refers = found
        speaks_of_it = speaks_of_it or refers
        # Sums and differences are done from left to right; anything else would need brackets.
        if operations and not form.startswith(("{it} +", "{it} -")):
            return None
        expression = form.format(it=expression, number=_digits(match["number"]) if "{number}" in form else "")
        rest = rest[match.end() :]
        if not rest:
            return f"What is {expression}?" if speaks_of_it or may_leave_it_out else None
        if (joint := _JOINED.match(rest)) is None:
            return None
        rest = rest[joint.end() :]
    return None


def _operation(text: str) -> tuple[re.Match[str], str, bool] | None:
    for pattern, form in _OPERATIONS:
        match = pattern.match(text)
        if match:
            return match, form, _SPEAKS_OF_IT.search(match[0]) is not None
    return None


def _digits(number: str) -> str:
    if number[0].isdigit():
        return number
    return str(sum(_NUMBERS[word] for word in number.lower().split("-")))

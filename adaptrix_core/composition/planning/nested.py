"""Questions inside of another: "Add 5 to the number of legs that 3 dogs have", "as many sisters as 3 dogs have legs".

What is nested is asked first, and its answer takes its place. Only counts are looked for, "the number of … that … have"
and "as many … as 3 … have …"; where what is around it is not surely done with a number, the question is as it was.
English only.
"""

from __future__ import annotations

import re

from adaptrix_core.composition.planning.arithmetic import done_with_it
from adaptrix_core.composition.planning.asking import asks, plainly, sentences

_SMALL = "a|an|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_COUNTED = rf"(?:\d{{1,4}}|{_SMALL}) [a-z]+(?:(?:,| and|, and) (?:\d{{1,4}}|{_SMALL}) [a-z]+)*"
"""Some of a kind, "3 dogs and a cat": they can be asked about without knowing anything else."""
_COUNT = re.compile(
    r"(?:the (?:total |whole |overall )?number of|how many) (?P<things>[a-z]+ [a-z]+(?= (?:that|which)\b)|[a-z]+) "
    rf"(?:(?:that |which )?(?P<subject>[^.?!]+?) (?P<verb>have|has)\b|(?:of|on) (?P<counted>{_COUNTED}))"
    r"(?: in total| altogether)?(?=[.?!,]|\s+(?:plus|minus|by|and|is)\b|$)",
    re.IGNORECASE,
)
_AS_MANY = re.compile(
    rf"(?<!twice )(?<!half )(?<!times )\b(?:just |exactly )?as many (?P<wanted>[a-z]+) as (?:(?P<subject>{_COUNTED}) "
    rf"(?:have|has) (?P<things>[a-z]+)|there are (?P<there>[a-z]+) on (?P<counted>{_COUNTED}))\b",
    re.IGNORECASE,
)


def unnested(text: str) -> str | None:
    """A question in the order of its steps, "First, how many legs do 3 dogs have? Then add 5 to the result."; None
    where nothing is nested in it.
    """
    return _out_of_a_sum(text) or _out_of_facts(text)


def _out_of_a_sum(text: str) -> str | None:
    *before, last = sentences(text) or [""]
    found = _COUNT.search(last)
    if found is None or any(map(asks, before)):
        return None
    around = plainly(f"{last[: found.start()]}the result{last[found.end() :]}")
    if done_with_it(around, 1, may_leave_it_out=False) is None:
        return None
    if found["counted"]:
        asked = f"how many {found['things']} do {found['counted']} have?"
    else:
        asked = f"how many {found['things']} {_do(found['verb'])} {found['subject']} have?"
    return f"First, {' '.join([*before, asked[0].upper() + asked[1:]])} Then {around}"


def _out_of_facts(text: str) -> str | None:
    found = _AS_MANY.search(text)
    if found is None or _AS_MANY.search(text, found.end()) or not asks(text[found.end() :]):
        return None
    things, subject = (found["things"], found["subject"]) if found["things"] else (found["there"], found["counted"])
    rest = f"{text[: found.start()]}that many {found['wanted']}{text[found.end() :]}"
    return f"First, how many {things} do {subject} have? Then: {rest}"


def _do(verb: str) -> str:
    return "does" if verb.lower() == "has" else "do"

"""Ways in which people ask for two things in a row, the second about the answer to the first.

All are the rules' author's own; those in a row were written before the planner's rules, the nested ones with the rules
for them in mind. `worked_on` are those that the rules were tried against while they were written, `kept_aside` every
second one, which was looked at only when the rules were done. After that, two faults that those in a row had shown were
mended, so their other half is no longer unseen; that of the nested ones is.

``{q}`` is a question that stands alone ("How many legs do 3 dogs have?"), ``{what}`` the same as an object ("41 + 7",
"the legs of 3 dogs"), ``{k}`` a number, ``{next}`` what a second question asks when "{n}" in it is the first answer.
"""

from __future__ import annotations

ADD_AFTER_A_QUESTION = (
    "{q} Then add {k} to the result.",
    "{q} Add {k} to your answer.",
    "First answer this: {q} Then add {k} to it.",
    "{q} After that, add {k}.",
    "{q} Take that number and add {k} to it.",
    "1. {q} 2. Add {k} to the answer.",
    "{q} Now increase the result by {k}. What do you get?",
    "Step 1: {q}\nStep 2: Add {k} to the answer of step 1.",
    "{q} What is that number plus {k}?",
    "Please tell me: {q} And then add {k} to the answer.",
    "{q} And what do I get if I add {k} to that?",
    "I have two things for you. {q} Then, add {k} to what you found.",
)
SUBTRACT_AFTER_A_QUESTION = (
    "{q} Then subtract {k} from the result.",
    "{q} Subtract {k} from that.",
    "First, {q} Next, take {k} away from the answer.",
    "{q} Reduce your answer by {k}.",
    "{q} When you have the answer, subtract {k} from it.",
    "(a) {q} (b) Subtract {k} from the answer to (a).",
    "{q} Then take away {k}. What is left?",
    "{q} What is the result minus {k}?",
    "{q} Afterwards subtract {k} and tell me the final number.",
    "Find the answer to this question and subtract {k} from it: {q}",
)
ADD_AFTER_AN_OBJECT = (
    "First work out {what}, then add {k} to the result.",
    "Work out {what} and add {k} to the answer.",
    "Compute {what}. Then add {k} to it.",
    "Start by working out {what}. Then add {k}.",
    "Calculate {what}, and then add {k} to that number.",
    "Please find {what}, then tell me what {k} more than that is.",
    "Once you have worked out {what}, add {k} to it.",
    "Determine {what}; after that, add {k} to the value.",
    "After computing {what}, increase the result by {k}.",
    "I need {what} first. Then add {k} to it, please.",
)
ASK_WITH_THE_ANSWER = (
    "First work out {what}. Then: {that_many}",
    "{q} {that_many}",
    "Compute {what}. Using that number as n, answer this: {with_n}",
    "{q} Call the answer n. {with_n}",
    "Step 1: work out {what}. Step 2: {that_many}",
    "1. {q}\n2. {that_many}",
    "Find {what}, then answer: {that_many}",
    "Let n be {what}. {with_n}",
    "{q} Now, {that_many_lower}",
    "First, {q} Second, {that_many_lower}",
)

NESTED_IN_A_SUM = (
    "{before}Add {k} to {count}.",
    "{before}What is {k} more than {count}?",
    "{before}What do you get when you add {k} to {count}?",
    "{before}Take {count} and add {k} to it.",
    "{before}Increase {count} by {k}.",
    "{before}What is {count} plus {k}?",
    "{before}Work out {k} more than {count}.",
    "{before}Please tell me what {count} plus {k} is.",
    "{before}What would I get if I added {k} to {count}?",
    "{before}To {count}, add {k}.",
)
"""``{count}`` is a phrase for a number, "the number of legs that 3 dogs have"; ``{before}`` the facts that it is
about."""
NESTED_IN_FACTS = (
    "{name} has {b} brothers and as many sisters as {animals} have legs. How many sisters does {name}'s brother have?",
    "A girl named {name} has as many sisters as {animals} have legs and {b} brothers. How many sisters does her "
    "brother have?",
    "{name} has {b} brothers, and as many sisters as there are legs on {animals}. How many sisters does her brother "
    "have?",
    "Suppose {name} has {b} brothers and just as many sisters as {animals} have legs. How many sisters does her "
    "brother have?",
    "{name} has exactly as many sisters as {animals} have legs. She has {b} brothers. How many sisters does one of "
    "her brothers have?",
    "{name} has {b} brothers and the number of her sisters is the number of legs that {animals} have. How many "
    "sisters does {name}'s brother have?",
)
"""``{animals}`` are some of one kind, "3 dogs"."""


def worked_on(wordings: tuple[str, ...]) -> tuple[str, ...]:
    """The wordings that the rules were written against."""
    return wordings[::2]


def kept_aside(wordings: tuple[str, ...]) -> tuple[str, ...]:
    """The wordings that nobody looked at while the rules were written."""
    return wordings[1::2]

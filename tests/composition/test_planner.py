"""Questions that ask for several things in a row are divided; questions that ask for one thing are left alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrix_core.composition.planning.planner import plan_of
from adaptrix_core.request_limits import MOST
from adaptrix_core.routing import prompts
from adaptrix_core.training.tasks.families import FAMILIES

LEGS = "How many legs do 3 dogs have?"

COMPOUND = {
    f"{LEGS} Then add 5 to the result.": (LEGS, "What is {0} + 5?"),
    f"First, {LEGS} Next, take seven away from the answer.": (LEGS, "What is {0} - 7?"),
    f"{LEGS} Reduce your answer by 4.": (LEGS, "What is {0} - 4?"),
    f"{LEGS} Take that away from 20.": (LEGS, "What is 20 - {0}?"),
    f"{LEGS} Double that and add 2. Then subtract 5 from the result.": (
        LEGS, "What is {0} + {0} + 2?", "What is {1} - 5?",
    ),
    f"{LEGS} How many legs do that many cats have?": (LEGS, "How many legs do {0} cats have?"),
    f"{LEGS} Call it n. Write a function f(x) that returns x plus n.": (
        LEGS, "Write a function f(x) that returns x plus {0}.",
    ),
    "First work out 7 + 5, then add 3 to the result.": ("Work out 7 + 5.", "What is {0} + 3?"),
    "Once you have worked out 7 + 5, add 3 to it.": ("Work out 7 + 5.", "What is {0} + 3?"),
    "Start by solving 2x + 3 = 11. Then subtract 1.": ("Solve 2x + 3 = 11.", "What is {0} - 1?"),
    f"1. {LEGS} 2. What is 7 + 5? 3. Add the first answer to 7.": (LEGS, "What is 7 + 5?", "What is {0} + 7?"),
    f"Step 1: {LEGS}\nStep 2: Add 5 to the answer of step 1.": (LEGS, "What is {0} + 5?"),
    "First, what is the capital of France? Then, what is the capital of Spain?": (
        "What is the capital of France?", "What is the capital of Spain?",
    ),
    "First work out 3 + 4; next, work out 5 + 6; finally, add 2 to the first result.": (
        "Work out 3 + 4.", "Work out 5 + 6.", "What is {0} + 2?",
    ),
    f"{LEGS} Then tell me what 7 more than that is.": (LEGS, "What is {0} + 7?"),
    f"{LEGS} What's 7 less than that?": (LEGS, "What is {0} - 7?"),
    f"{LEGS} And what if I take 3 away from it?": (LEGS, "What is {0} - 3?"),
    f"{LEGS} From the result, subtract 3.": (LEGS, "What is {0} - 3?"),
    f"{LEGS} Once you know, add 7 to it.": (LEGS, "What is {0} + 7?"),
    f"{LEGS} As a second step, add 7 to it.": (LEGS, "What is {0} + 7?"),
    f"{LEGS} If n is the answer, how many legs do n cats have?": (LEGS, "How many legs do {0} cats have?"),
    f"What do I get if I take 5 away from the answer to this: {LEGS}": (LEGS, "What is {0} - 5?"),
    f"Answer this question, then add 7 to the answer: {LEGS}": (LEGS, "What is {0} + 7?"),
    "Let n be 7 + 5. How many legs do n cats have?": ("Work out 7 + 5.", "How many legs do {0} cats have?"),
    "Find x: 3x + 4 = 19. How many legs do x cats have?": ("Find x: 3x + 4 = 19.", "How many legs do {0} cats have?"),
    "Work out 7 + 5, take the result and add 3.": ("Work out 7 + 5.", "What is {0} + 3?"),
    f"Please tell me: {LEGS} And then add 7 to the answer.": (f"Please tell me: {LEGS}", "What is {0} + 7?"),
    "First, work out x: 4x = 12 Second, how many legs do that many cats have?": (
        "Work out x: 4x = 12.", "How many legs do {0} cats have?",
    ),
    "What is 3 + 4 = Call the answer n. How many legs do n cats have?": (
        "What is 3 + 4 =", "How many legs do {0} cats have?",
    ),
    "Add 5 to the number of legs that 3 dogs have.": (LEGS, "What is {0} + 5?"),
    "Add 5 to how many legs 3 dogs have.": (LEGS, "What is {0} + 5?"),
    "What do you get when you take 5 away from the number of legs on 3 dogs?": (LEGS, "What is {0} - 5?"),
    "Lea has 3 brothers and 2 sisters. What is 7 more than the number of brothers that Lea's sister has?": (
        "Lea has 3 brothers and 2 sisters. How many brothers does Lea's sister have?", "What is {0} + 7?",
    ),
    "Work out 7 more than the number of female friends that Ann has.": (
        "How many female friends does Ann have?", "What is {0} + 7?",
    ),
    "Lea has 3 brothers and as many sisters as 3 dogs have legs. How many sisters does Lea's brother have?": (
        LEGS, "Lea has 3 brothers and {0} sisters. How many sisters does Lea's brother have?",
    ),
    "Lea has just as many sisters as there are legs on 3 dogs. How many sisters does her brother have?": (
        LEGS, "Lea has {0} sisters. How many sisters does her brother have?",
    ),
}  # fmt: skip

SINGLE = (
    "",
    "   ",
    "What do you get when you take 72 away from 50 and then add 6?",
    "Start with 40, add 7, subtract 3. What number do you end up with?",
    "There were 12 apples. Then 3 are added. How many apples are there now?",
    "Think of a number. Add 5 to it. Double the result. You get 20. What is the number?",
    "Write a function f(xs) to first find the largest, then add 5 to the result.",
    "Write a Python function that strips spaces, then reverses the text and returns the result.",
    "First write a poem about the sea, then translate it.",
    "Work out 5 + 3. What is the answer?",
    "Compute the mean of 3, 5 and 7. Round your answer to two decimals.",
    "Solve 3x + 2 = 11 and write the answer in words.",
    "First add 3 to 4, then subtract 2. What do you get?",
    "1. All mortals are children\n2. Some children are insects\nDoes it follow that no mortals are insects?",
    "Let x be 5. What is x + 3?",
    "If n is even, what is n + 3?",
    "Find x and y: x + y = 7. The value of x is 3.",
    "What does {0} mean in Python? Then add 5 to the result.",
    "What is 5 more than the number of days in a week?",
    "What is the number of legs that 3 dogs have?",
    "What is 3 times the number of legs that 3 dogs have?",
    "Tell me how many legs 3 dogs have.",
    "Lea has 3 brothers and as many sisters as brothers. How many sisters does her brother have?",
    "Tom has as many sisters as Ann has brothers. How many sisters does Tom have?",
    "Tom has twice as many pears as 3 trees have apples. How many pears does Tom have?",
    "There are as many chairs as 3 dogs have legs.",
    "```\nWork out 3 + 4. Then add 5 to the result.\n```",
)


@pytest.mark.parametrize("question", COMPOUND)
def test_a_compound_question_becomes_steps_that_stand_alone(question: str) -> None:
    plan = plan_of(question)
    assert plan is not None
    assert plan.steps == COMPOUND[question]


@pytest.mark.parametrize("question", SINGLE)
def test_a_question_that_asks_for_one_thing_is_left_alone(question: str) -> None:
    assert plan_of(question) is None


def test_at_most_one_in_a_hundred_of_the_single_questions_at_hand_is_divided() -> None:
    questions = [
        *(row.prompt for row in prompts.paraphrases()),
        *(row.prompt for row in prompts.in_scope_calibration()),
        *prompts.out_of_scope("calibration"),
        *prompts.out_of_scope("test"),
        *prompts.background(),
        *(problem.question for family in FAMILIES.values() for problem in family.held_out(60)),
    ]
    divided = [question for question in questions if plan_of(question) is not None]
    assert len(divided) <= len(questions) / 100, divided


def test_too_long_a_question_and_too_many_steps_are_left_alone() -> None:
    assert plan_of(f"{LEGS} Then add 5 to the result." + " " * 9 + "x" * MOST.planned_characters) is None
    assert plan_of(LEGS + " Then add 5 to the result." * MOST.composition_steps) is None
    assert plan_of(LEGS + " Then add 5 to the result." * (MOST.composition_steps - 1)) is not None
    assert plan_of("It is sunny. " * 9 + f"{LEGS} Then add 5 to the result.") is not None
    assert plan_of("It is sunny. " * 99 + f"{LEGS} Then add 5 to the result.") is None, "time grows with the square"


_PIECES = (
    "First, ", "Then ", "and then ", "Step 1: ", "Step 2: ", "1. ", "2. ", "add 5 to the result", "double it", ". ",
    "? ", ", ", "\n", "what is 3 + 4", "that many dogs", "call it n", "the answer to (1)", "once you have found ",
    "take that", " and ", ": ", "n", "{", "}", "{0}", "é", "  ",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES) | st.text(max_size=6), max_size=14).map("".join))
def test_whatever_is_asked_a_plan_is_bounded_and_uses_earlier_answers_only(question: str) -> None:
    plan = plan_of(question)
    if plan is None:
        return
    assert 2 <= len(plan.steps) <= MOST.composition_steps
    for number, step in enumerate(plan.steps):
        assert 0 < len(step) <= len(question)
        assert all(int(place) < number for place in re.findall(r"\{(\d+)\}", step))

"""Skills that reckon with numbers, pick one, or put a word into another language."""

from __future__ import annotations

from collections.abc import Mapping

from adaptrix_core.training.tasks.tool_use.skill import NUMBER, Skill, pick, whole
from adaptrix_core.training.tasks.tool_use.vocabulary import CURRENCIES, LANGUAGES, WORDS

RECKONING: Mapping[str, Skill] = {
    "add": Skill(
        names=("add", "sum_numbers", "add_numbers", "plus"),
        descriptions=("Add two numbers.", "Returns the sum of a and b.", "Adds numbers"),
        parameters={"a": NUMBER, "b": NUMBER},
        questions=(
            "Please add {a} and {b}.",
            "What is {a} plus {b}?",
            "I need the sum of {a} and {b}.",
            "How much is {a} + {b}?",
        ),
        result=lambda values, rng: values["a"] + values["b"],
        answers=("{a} plus {b} is {result}.", "The sum is {result}."),
    ),
    "multiply": Skill(
        names=("multiply", "product", "times"),
        descriptions=("Multiply two numbers.", "Returns the product of x and y."),
        parameters={"x": NUMBER, "y": NUMBER},
        questions=(
            "What is {x} times {y}?",
            "Multiply {x} by {y}.",
            "Compute {x} * {y}.",
            "What is the product of {x} and {y}?",
        ),
        result=lambda values, rng: values["x"] * values["y"],
        answers=("{x} times {y} is {result}.", "The product is {result}."),
    ),
    "currency": Skill(
        names=("convert_currency", "currency_converter", "exchange"),
        descriptions=("Convert money to another currency.", "Currency conversion"),
        parameters={
            "amount": ("number", "How much", whole(5, 500)),
            "source": ("string", "Currency code", pick(CURRENCIES[:4])),
            "target": ("string", "Currency code", pick(CURRENCIES[4:])),
        },
        questions=("Convert {amount} {source} to {target}.", "How much is {amount} {source} in {target}?"),
        result=lambda values, rng: {"amount": round(values["amount"] * rng.uniform(0.5, 2), 2)},
        answers=("{amount} {source} are {result} {target}.",),
    ),
    "random": Skill(
        names=("random_number", "roll", "pick_number"),
        descriptions=("Returns a random number.", "Random integer up to a maximum"),
        parameters={"maximum": ("integer", "Largest number", whole(6, 100))},
        questions=("Give me a random number up to {maximum}.", "Pick a number between 1 and {maximum}."),
        result=lambda values, rng: rng.randint(1, values["maximum"]),
        answers=("Your number is {result}.",),
    ),
    "translate": Skill(
        names=("translate", "translate_text", "translator"),
        descriptions=("Translate a text.", "Translates text into another language."),
        parameters={
            "text": ("string", "Text to translate", pick(WORDS)),
            "language": ("string", "Target language", pick(LANGUAGES)),
        },
        questions=(
            "Translate '{text}' to {language}.",
            "How do you say {text} in {language}?",
            "What is {text} in {language}?",
        ),
        result=lambda values, rng: {
            "translation": rng.choice(["maison", "agua", "Freund", "pane", "noche", "rio", "jardin"])
        },
        answers=("'{text}' in {language} is '{result}'.", "It is '{result}'."),
    ),
}

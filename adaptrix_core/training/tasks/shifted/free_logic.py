"""Free wordings of riddles: relatives, statements with quantifiers, sisters and friends, in words unlike training's.

Among them are questions that no training problem asks, such as for the brothers of a brother: a model that takes them
for the ones that it knows is wrong, and should not be sure.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from adaptrix_core.training.tasks.shifted.wording import FreeWording, Values

_WOMEN = ("Nadia", "Petra", "Ingrid", "Yuki", "Rosa", "Wanda", "Leila", "Greta", "Olga", "Fatima", "Sofia", "Hannah")
_MEN = ("Tariq", "Bruno", "Kenji", "Oscar", "Viktor", "Pablo", "Nils", "Amir", "Felix", "Hugo", "Ravi", "Stefan")
_RELATIVES = (
    ("{m} is the dad of {w}. What is {w} to {m}?", "daughter"),
    ("{w}'s mum is {v}. Who is {v} to {w}?", "mother"),
    ("{m} and {w} got married last year; their little boy is {n}. What is {w} to {n}?", "mother"),
    ("{n} calls {m} dad, and {m} calls {o} dad. What is {o} to {n}?", "grandfather"),
    ("{w} and {v} are the daughters of {m}. In one word, {v} is {w}'s ...?", "sister"),
    ("{m} has a twin sister, {w}. So {m} is {w}'s ...?", "brother"),
    ("{m} is {w}'s husband. What does that make {w} to {m}?", "wife"),
    ("{w} gave birth to {m}. {m} is her what?", "son"),
    ("{w}'s mother is {v}, and {v}'s mother is {u}. {u} is {w}'s what?", "grandmother"),
    ("{m}'s parents are {n} and {w}. What is {n} for {m}?", "father"),
    ("{w} raised two kids with {n}, a girl {v} and a boy {m}. How is {v} related to {m}?", "sister"),
    ("Mr {m} is married to Mrs {w}. Who is {m} from {w}'s point of view?", "husband"),
    ("{m} is the only son of {n}, whose father is {o}. What should {m} call {o}?", "grandfather"),
    ("{v} is a child of {w}, and {v} is a girl. {v} is {w}'s what?", "daughter"),
)
_TERMS = (
    "baker", "painter", "sailor", "poet", "robot", "wizard", "farmer", "singer", "pilot", "clown", "knight", "dancer",
    "lawyer", "hunter", "juggler",
)  # fmt: skip
_STATEMENTS = (
    ("Every {a} is a {b}. Every {b} is a {c}. So is every {a} a {c}?", "Yes"),
    ("Every {a} is a {b}. Every {c} is a {b}. So is each {a} a {c}?", "No"),
    ("There isn't a single {a} that is a {b}. Each {c} is a {a}. Could a {c} be a {b}?", "No"),
    ("Nobody who is a {a} is a {b}. My neighbour is a {a}. Is my neighbour a {b}?", "No"),
    ("Whoever is a {a} is a {b}. Tom is a {a}. Must Tom be a {b}?", "Yes"),
    ("Whoever is a {a} is a {b}. Tom is a {b}. Must Tom be a {a}?", "No"),
    ("A few {a}s are {b}s. All {b}s are {c}s. Are there {a}s that are {c}s?", "Yes"),
    ("At least one {a} is a {b}, and every {b} is a {c}. Is it sure that some {a} is a {c}?", "Yes"),
    ("Not one {a} is a {b}, while all {c}s are {b}s. Can any {a} be a {c}?", "No"),
    ("Only {a}s are {b}s. Rex is a {b}. Is Rex a {a} for sure?", "Yes"),
    ("Some {a}s are {b}s and some {b}s are {c}s. Are we certain that some {a}s are {c}s?", "No"),
    ("{a}s are {b}s without exception, but {b}s are never {c}s. Is it true that {a}s are never {c}s?", "Yes"),
    ("Any {a} counts as a {b}. Not a single {b} is a {c}. Is it right that a {a} is never a {c}?", "Yes"),
    ("Each {a} is a {b}, and some {b}s are {c}s. Then some {a}s have to be {c}s, right?", "No"),
)
_COUNTED: tuple[tuple[str, Callable[[Values], int]], ...] = (
    ("{w} grew up with {b} brothers and {s} sisters. Count the sisters of one of those brothers.",
     lambda v: v["s"] + 1),
    ("{w} has {s} sisters and {b} brothers, and {m} is one of the brothers. How many sisters has {m}?",
     lambda v: v["s"] + 1),
    ("In {w}'s family there are {b} boys and, besides her, another {s} girls, all siblings. How many sisters does a "
     "boy there have?", lambda v: v["s"] + 1),
    ("{w} told me: I have {s} sisters and {b} brothers. How many girls does her brother call sister?",
     lambda v: v["s"] + 1),
    ("{w} has {b} men and {s} women as friends, and everybody is everybody's friend. How many women are friends of one "
     "of these men?", lambda v: v["s"] + 1),
    ("{w}'s circle of friends: {b} guys, {s} ladies, all of them friends with each other. {m} is one of the guys. His "
     "number of female friends?", lambda v: v["s"] + 1),
    ("My aunt {w} has {s} sisters and {b} brothers. Uncle {m} is one of the brothers. Number of {m}'s sisters?",
     lambda v: v["s"] + 1),
    ("{w} has {b} brothers and {s} sisters. How many brothers does one of her brothers have?", lambda v: v["b"] - 1),
    ("{m} is a boy with {b} brothers and {s} sisters. How many brothers does his sister have?", lambda v: v["b"] + 1),
    ("One of {w}'s {b} brothers counts his sisters. {w} herself has {s} sisters. What does he get?",
     lambda v: v["s"] + 1),
    ("Siblings: {w}, {s} more girls, {b} boys. How many sisters does each girl have?", lambda v: v["s"]),
)  # fmt: skip


def logic_wordings() -> tuple[FreeWording, ...]:
    """All of them."""
    return (
        *(
            FreeWording(f"relatives {number}", "family_relationships", text, _people, _always(answer))
            for number, (text, answer) in enumerate(_RELATIVES)
        ),
        *(
            FreeWording(f"statements {number}", "syllogism", text, _terms, _always(answer))
            for number, (text, answer) in enumerate(_STATEMENTS)
        ),
        *(_counted(number, text, result) for number, (text, result) in enumerate(_COUNTED)),
    )


def _people(rng: Random) -> Values:
    return dict(zip("wvumno", (*rng.sample(_WOMEN, 3), *rng.sample(_MEN, 3)), strict=True))


def _terms(rng: Random) -> Values:
    return dict(zip("abc", rng.sample(_TERMS, 3), strict=True))


def _always(answer: str) -> Callable[[Values], str]:
    return lambda _: answer


def _counted(number: int, text: str, result: Callable[[Values], int]) -> FreeWording:
    def draw(rng: Random) -> Values:
        return {"w": rng.choice(_WOMEN), "m": rng.choice(_MEN), "b": rng.randint(2, 6), "s": rng.randint(2, 6)}

    return FreeWording(f"siblings {number}", "aiw", text, draw, lambda values: str(result(values)))

"""150 topics of the shape of CLINC150 (Larson et al., EMNLP-IJCNLP 2019: 150 intents in 10 domains), by a generator.

A topic is something that people do with a thing: cancel a flight. The ten actions and the fifteen things each have
several wordings; the test questions use wordings of both that no example has. Topics share their actions and things, so
neighbours are near. Every text is of this file.
"""

from __future__ import annotations

from dataclasses import dataclass

THINGS: dict[str, tuple[str, str, str, str]] = {
    "flight": ("flight", "plane ticket", "seat on the plane", "air travel booking"),
    "parcel": ("parcel", "package", "delivery", "shipment"),
    "account": ("bank account", "checking account", "current account", "account at the bank"),
    "card": ("credit card", "visa card", "charge card", "plastic card that I pay with"),
    "gym": ("gym membership", "fitness club contract", "membership at the sports club", "workout subscription"),
    "phone": ("phone plan", "mobile contract", "cell phone tariff", "sim subscription"),
    "power": ("electricity contract", "power supply", "energy tariff", "current supplier for the flat"),
    "book": ("library book", "borrowed book", "novel from the library", "volume on loan"),
    "car": ("car insurance", "motor policy", "cover for my vehicle", "auto insurance"),
    "hotel": ("hotel room", "hotel reservation", "room for the night", "lodging"),
    "pizza": ("pizza order", "takeaway pizza", "margherita that I ordered", "pizza for dinner"),
    "rental": ("rental car", "hire car", "car that I rent", "vehicle on hire"),
    "dentist": ("dentist appointment", "dental check-up", "visit to the dentist", "slot with my dentist"),
    "visa": ("tourist visa", "travel visa", "entry permit", "visa for the trip"),
    "garden": ("garden service", "lawn care", "gardener", "hedge trimming"),
}
"""By name, four ways of saying it: two for the examples, two for the test."""

ACTIONS: dict[str, tuple[str, ...]] = {
    "cancel": (
        "I want to cancel my {}", "please cancel the {}", "how can I call off the {}", "get rid of my {} for me",
        "I don't need the {} any more", "end my {} today", "terminate the {}", "drop the {} please",
        "I've changed my mind about the {}, cancel it", "stop my {} from next week", "undo the {}",
        "no {} for me after all",
        "could the {} be annulled", "withdraw from the {}", "I'd like out of the {}", "scrap that {}",
    ),
    "price": (
        "what does the {} cost", "how much is the {}", "price of a {}", "how expensive is the {}",
        "tell me what I pay for the {}", "the {}, how many euros", "is there a fee for the {}",
        "what's the rate for my {}",
        "what will the {} set me back", "cost of the {} please", "quote me a price for the {}",
        "how much money for the {}",
        "the bill for my {} comes to what", "sum due for the {}", "what do they charge for a {}",
        "is a {} affordable",
    ),
    "status": (
        "where is my {} now", "what's the status of the {}", "any news on my {}", "has the {} gone through",
        "is my {} ready", "check on the {}", "how far along is the {}", "is the {} on time",
        "did anything happen with my {}", "update me on the {}", "is my {} active", "show the progress of the {}",
        "what's going on with the {}", "is there movement on the {}", "how are things with my {}",
        "still waiting on the {}?",
    ),
    "change": (
        "change my {} to another date", "I need to modify the {}", "can I switch the {}", "move the {} to Friday",
        "alter the details of my {}", "edit the {}", "swap my {} for a different one", "adjust the {} please",
        "make a change to the {}", "can the {} be moved", "update the name on my {}", "reschedule the {}",
        "amend that {}", "I'd rather have the {} differently", "rearrange my {}", "transfer the {} to other terms",
    ),
    "new": (
        "I'd like to get a {}", "set up a {} for me", "order a new {}", "how do I apply for a {}",
        "sign me up for a {}", "I need a {}", "open a {} please", "arrange a {} for tomorrow",
        "start a {}", "can you book a {}", "request a {}", "help me get a {}",
        "organise a {} on my behalf", "I'm looking to obtain a {}", "first {} ever, where do I begin",
        "put me down for a {}",
    ),
    "problem": (
        "something is wrong with my {}", "the {} doesn't work", "I have trouble with the {}", "complain about the {}",
        "there's a mistake in my {}", "my {} is broken", "report a fault with the {}", "the {} was not as promised",
        "I'm unhappy with my {}", "error with the {}", "the {} has failed again", "an issue with my {}",
        "the {} went badly", "this {} is a disaster", "my {} has gone awry", "nothing about the {} is right",
    ),
    "documents": (
        "which documents do I need for the {}", "what papers are required for a {}", "do I need an id for the {}",
        "what should I bring for the {}", "is my passport enough for the {}", "list the forms for a {}",
        "what paperwork does the {} take", "do I have to sign something for the {}",
        "which proof is needed for my {}",
        "send me the documents of the {}", "what must I show for the {}", "certificates for the {}",
        "what do they want to see for a {}", "formalities for the {}", "any form to fill in for the {}",
        "credentials that the {} asks for",
    ),
    "refund": (
        "I want my money back for the {}", "refund the {}", "can I be reimbursed for the {}",
        "return of the money for my {}",
        "give me back what I paid for the {}", "is the {} refundable", "when do I get the refund for my {}",
        "money back on the {} please", "I paid twice for the {}, refund me", "claim back the {}",
        "compensation for my {}", "get the deposit for the {} back",
        "repay me for that {}", "I was overcharged for the {}", "restore my payment for the {}",
        "credit me for the {}",
    ),
    "hours": (
        "until when can I use the {}", "what are the times for the {}", "how long is the {} valid",
        "when does my {} end",
        "when does the {} start", "is the {} possible on Sundays", "at what time is the {}",
        "opening hours for the {}",
        "how many days does the {} last", "by when must I have the {}", "what's the earliest time for a {}",
        "how late is the {} available",
        "deadline of the {}", "expiry of my {}", "on which weekdays is the {}", "duration of the {}",
    ),
    "compare": (
        "which {} is the best", "compare the offers for a {}", "recommend a {}", "is there a better {}",
        "what are the alternatives to my {}", "which {} would you choose", "reviews of the {}", "find me a good {}",
        "difference between one {} and another", "top three choices for a {}", "which kind of {} suits me",
        "is this {} any good",
        "what do people say of the {}", "rank the {} on offer", "who has the finest {}", "advise me on a {}",
    ),
}  # fmt: skip
"""By name, sixteen wordings: twelve for the examples, four for the test."""

MOST_EXAMPLES = 12


@dataclass(frozen=True)
class Topic:
    """One topic with its texts; none of the questions has a wording of the examples."""

    name: str
    examples: tuple[str, ...]
    questions: tuple[str, ...]


def topics() -> tuple[Topic, ...]:
    """The 150 topics, each with 12 examples and 4 questions."""
    return tuple(
        Topic(
            f"{action}_{thing}",
            tuple(form.format(called[place % 2]) for place, form in enumerate(forms[:MOST_EXAMPLES])),
            tuple(form.format(called[2 + place % 2]) for place, form in enumerate(forms[MOST_EXAMPLES:])),
        )
        for action, forms in ACTIONS.items()
        for thing, called in THINGS.items()
    )

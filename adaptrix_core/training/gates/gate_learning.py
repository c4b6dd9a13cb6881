"""Learns a gate over adapters from conversations, in one of two ways, and binds it to their weights.

``choice`` gives each question to the one adapter that answers such questions best (`choice_training.py`); ``shares``
adds adapters up by shares that make the answers likeliest, token by token (`gate_training.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from adaptrix_core.base import BaseModel
from adaptrix_core.injection.learned_gate import LearnedGate, bound
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.encoding import encode_examples
from adaptrix_core.training.gates.choice_training import ChoiceTraining, train_choice
from adaptrix_core.training.gates.gate_training import GateTraining, train_gate

WayToLearn = Literal["choice", "shares"]
WAYS: tuple[WayToLearn, ...] = get_args(WayToLearn)
MOST_TOKENS = 512
"""Most tokens of an example; longer ones are left out. A gate needs to see what is asked, not all of it."""


def learn_gate(
    base: BaseModel,
    adapters: Mapping[str, LoraWeights],
    conversations: Sequence[LearntConversation],
    way: WayToLearn,
    seed: int = 0,
    on_progress: Callable[[str], None] = lambda text: None,
) -> tuple[LearnedGate, dict[str, Any]]:
    """(the gate, what a manifest says of its training). adapters: by name; their order is of no account.

    base: unpacked, float32. on_progress: called with where it is, in words. Raises as `train_choice`, `train_gate`, and
    ConfigError where no example is short enough.
    """
    examples = encode_examples(base, conversations, MOST_TOKENS)
    weights = list(adapters.values())
    facts: dict[str, Any] = {"way": way, "examples": len(examples), "seed": seed}
    if way == "choice":
        trained = train_choice(
            base,
            weights,
            examples,
            ChoiceTraining(seed=seed),
            lambda done: on_progress(f"{done} of {len(examples)} examples under {len(weights)} adapters"),
        )
        gate = trained.gate
        facts["right_adapter"] = {name: trained.chosen.count(place) for place, name in enumerate(adapters)}
    else:
        settings, losses = GateTraining(seed=seed), list[float]()

        def on_step(step: int, loss: float) -> None:
            losses.append(loss)
            on_progress(f"step {step} of {settings.steps}, loss {loss:.3f}")

        gate = train_gate(base, weights, examples, settings, on_step)
        facts |= {"steps": settings.steps, "first_loss": round(losses[0], 4), "last_loss": round(losses[-1], 4)}
    return bound(gate, [one.weights_digest for one in weights]), facts

"""Measures what a mix does to the answers of its adapters, on prompts of their own.

Each adapter answers its prompts alone, greedily; then those answers are scored under the adapter and under the mix.
That needs no right answers, so it can be done for any adapter that has routing examples. Records and scores are
`composition/conflicts/behaviour.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from adaptrix_core.adapters import Adapter
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.composition.conflicts.behaviour import Effect, Interference, key_of, remember, remembered
from adaptrix_core.composition.conflicts.weight_conflict import WeightAt, displacement
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.choices import AdapterChoice, terms_of
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.lora import LoraWeights

MOST_PROMPTS = 24
"""Prompts of an adapter that are asked; its first ones."""
MAX_TOKENS = 48
"""Most tokens of an answer."""
_AT_ONCE = 8
"""Answers that are scored together."""

Progress = Callable[[str], object]
"""Told what is being measured now."""


def loaded_adapters(engine: Engine, names: Sequence[str]) -> dict[str, Adapter]:
    """Adapters by name, loaded and verified. Raises InvalidRequest for a composition: its parts can conflict."""
    loaded = {}
    for name in names:
        package = engine.load_adapter(name)
        if isinstance(package, Composition):
            raise InvalidRequest(f"{name!r} is a composition; name the adapters that it is made of")
        loaded[name] = package
    return loaded


class InterferenceMeter:
    """Measures mixes on one engine; an adapter's own answers are made once for all mixes.

    Measurements are kept in the user's cache by the digests of base and adapters, and looked up there first.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: Mapping[str, Sequence[str]],
        max_tokens: int = MAX_TOKENS,
        use_cache: bool = True,
        progress: Progress = lambda _: None,
    ) -> None:
        """prompts: by adapter name, what it is for. max_tokens: most tokens of an answer.

        Raises InvalidRequest for an adapter without any prompt.
        """
        for name, own in prompts.items():
            if not own:
                raise InvalidRequest(
                    f"adapter {name!r} has no routing examples, so what a mix does to its answers cannot be measured; "
                    "import it with --route-example, or compare weights alone"
                )
        self._engine, self.max_tokens, self._use_cache = engine, max_tokens, use_cache
        self._progress = progress
        self.prompts = {name: tuple(own[:MOST_PROMPTS]) for name, own in prompts.items()}
        self._answers: dict[str, list[tuple[tuple[int, ...], int]]] = {}
        """By adapter, the tokens of each prompt with its own answer, and how many of them are the answer."""
        self._alone: dict[str, list[float]] = {}
        """By adapter, the log-probability of each token of its answers under itself."""

    def measure(self, choice: AdapterChoice) -> Interference:
        """What a mix of adapters does to the answers of each of them. Raises InvalidRequest for one with a gate."""
        mix = [term.placed(self._engine.base.info.num_layers) for term in terms_of(choice)]
        if any(term.gated is not None for term in mix):
            raise InvalidRequest(
                "a gate weighs each token by itself; only mixes without one are measured", param="gate"
            )
        adapters = loaded_adapters(self._engine, [term.adapter for term in mix])
        digests = {name: adapter.weights_digest for name, adapter in adapters.items()}
        base = self._engine.base
        key = key_of((base.info.digest, base.layout), mix, digests, self.prompts, self.max_tokens)
        names = {digest: name for name, digest in digests.items()}
        if self._use_cache and (found := remembered(key, names)) is not None:
            return found
        weighted = [(adapters[term.adapter].weights, term.weight_at) for term in mix]
        found = Interference({term.adapter: self._effect(term.adapter, tuple(mix), weighted) for term in mix})
        if self._use_cache:
            remember(key, found, digests)
        return found

    def effects_under(self, engine: Engine, adapter: str, weights: LoraWeights) -> Interference:
        """What an adapter of another engine over the same base does to the answers of all adapters; it isn't kept."""
        weighted: list[tuple[LoraWeights, WeightAt]] = [(weights, lambda layer: 1.0)]
        return Interference({name: self._effect(name, adapter, weighted, engine) for name in self.prompts})

    def _effect(
        self,
        name: str,
        mix: AdapterChoice,
        weighted: Sequence[tuple[LoraWeights, WeightAt]],
        engine: Engine | None = None,
    ) -> Effect:
        """weighted: the weights that the mix is made of."""
        self._progress(name)
        if name not in self._answers:
            self._answers[name] = self._own_answers(name)
            self._alone[name] = [logprob for logprob, _ in self._scored(self._answers[name], name, self._engine)]
        mixed = self._scored(self._answers[name], mix, engine or self._engine)
        rises = [alone - logprob for alone, (logprob, _) in zip(self._alone[name], mixed, strict=True)]
        kept = sum(rank == 1 for _, rank in mixed) / len(mixed)
        own = loaded_adapters(self._engine, (name,))[name].weights
        moved = displacement(own, weighted)
        return Effect(len(self._answers[name]), len(mixed), sum(rises) / len(rises), kept, moved)

    def _own_answers(self, name: str) -> list[tuple[tuple[int, ...], int]]:
        prompts = [self._engine.encode([{"role": "user", "content": text}]) for text in self.prompts[name]]
        params = SamplingParams(max_tokens=self.max_tokens, temperature=0.0)
        said = self._engine.generate(prompts, name, params)
        return [
            (prompt + completion.token_ids, len(completion.token_ids))
            for prompt, completion in zip(prompts, said, strict=True)
        ]

    def _scored(
        self, answers: Sequence[tuple[tuple[int, ...], int]], mix: AdapterChoice, engine: Engine
    ) -> list[tuple[float, int]]:
        """Log-probability and rank of each answer's tokens under a mix, all answers in a row."""
        scored: list[tuple[float, int]] = []
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        for start in range(0, len(answers), _AT_ONCE):
            batch = answers[start : start + _AT_ONCE]
            completions = engine.generate([tokens for tokens, _ in batch], mix, params)
            for (_, length), completion in zip(batch, completions, strict=True):
                tokens = (completion.prompt_logprobs or ())[-length:] if length else ()
                scored += [(token.logprob, token.rank) for token in tokens]
        return scored

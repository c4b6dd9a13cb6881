"""Every extension point on one screen: what other packages can add, and what such a part must be able to do.

A package adds a part by an entry point; its name is the part's, its group the point's (docs/extensions.md has one of
each)::

    [project.entry-points."adaptrix.router_signals"]
    keywords = "my_package.routing:KeywordSignal"

Parts are code and run with all the rights of the process, so a part is installed as deliberately as a program is. What
a part gives back is checked like a caller's input. Types are imported for type checkers only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from adaptrix_core.extension_point import ExtensionPoint

if TYPE_CHECKING:
    from adaptrix_core.adapters.sources.protocol import AdapterSource
    from adaptrix_core.base.families import Family
    from adaptrix_core.composition.parts import Part
    from adaptrix_core.confidence.evidence import AnswerEvidence
    from adaptrix_core.routing.catalogue import RouteCard
    from adaptrix_core.routing.embedder import TextEmbedder
    from adaptrix_core.routing.message import RoutedMessage


class FittedSignal(Protocol):
    """A signal that knows a catalogue. Any number of threads may ask it at once."""

    def log_odds(self, message: RoutedMessage) -> Mapping[str, float]:
        """By adapter name, the log-odds (natural) that a message is in the adapter's scope.

        A name that is left out counts as 0; an adapter that no signal names is not chosen. A signal that needs what the
        message lacks (its embedding, its ``trunk_mean``) names none.
        """

    def reason(self, adapter: str, message: RoutedMessage) -> str:
        """Half a sentence for people on what speaks for ``adapter``; empty without any."""


class RouterSignal(Protocol):
    """One opinion on who should answer. Log-odds of several signals are weighted and added up."""

    def fit(self, cards: Sequence[RouteCard]) -> FittedSignal:
        """The signal for these adapters; called in a thread whenever the catalogue has changed."""


class RouterSignalFactory(Protocol):
    """Makes a signal for one router; a class whose constructor takes the embedder will do.

    A factory whose attribute ``needs_embedder`` is False works without one too; any other is left out of a router that
    has none. One whose attribute ``needs_trunk`` is True gets a function from texts to their means in the base model's
    trunk instead, and is left out where there is none.
    """

    def __call__(self, embedder: TextEmbedder) -> RouterSignal:
        """embedder: the router's, which also makes the embeddings that messages come with.

        None in a router without one, for a factory that does not need it.
        """


class CompositionStrategy(Protocol):
    """Makes rows for the engine from what a request says of the adapters that are to work together."""

    def compose(self, parts: Any, options: Mapping[str, Any], read: Callable[[Any], Part[str]]) -> Part[str]:
        """A group of rows, or steps of such groups, by adapter name (`composition/parts.py`).

        parts: what the request has under the strategy's name, as JSON. options: the fields beside it. read: gives what
        an adapter's name, null, or a composition inside of this one comes to; `composition/nesting.py` says what may
        stand where. Raises InvalidRequest for anything that it doesn't understand.
        """


class ConfidenceEstimator(Protocol):
    """Says how sure an answer is, by what its computation shows.

    One that looks at `AnswerEvidence.spreads` has a true attribute ``needs_spread``, one that looks at ``attention``
    ``needs_attention``; they are computed for it alone. One that looks at more than the answer itself names fields of
    `FurtherEvidence` in ``needs_further``; it is asked where these are known (`engine/confidence/further.py`), and no
    request may name it.
    """

    def score(self, answer: AnswerEvidence) -> float:
        """A finite number, larger where the answer is likelier right. A score, no probability."""


class EndpointGroup(Protocol):
    """Adds endpoints to the HTTP API."""

    def __call__(self, app: Any, services: Any) -> None:
        """app: a FastAPI application. services: `deployments.http.services.Services`, all that an endpoint may use."""


MODEL_FAMILIES: ExtensionPoint[Family] = ExtensionPoint(
    "adaptrix.model_families",
    "model family",
    {
        "llama": "adaptrix_core.base.families.llama:LLAMA",
        "mistral": "adaptrix_core.base.families.llama:MISTRAL",
        "qwen2": "adaptrix_core.base.families.qwen:QWEN2",
        "qwen3": "adaptrix_core.base.families.qwen:QWEN3",
        "gemma2": "adaptrix_core.base.families.gemma:GEMMA2",
        "gemma3_text": "adaptrix_core.base.families.gemma:GEMMA3",
        "phi3": "adaptrix_core.base.families.phi3:PHI3",
        "gpt2": "adaptrix_core.base.families.gpt2:GPT2",
        "gpt_neox": "adaptrix_core.base.families.gpt_neox:GPT_NEOX",
        "opt": "adaptrix_core.base.families.opt:OPT",
    },
    needs=("modules", "layers", "points", "head", "packed", "gguf"),
)
"""By transformers' ``model_type``."""

ADAPTER_SOURCES: ExtensionPoint[AdapterSource] = ExtensionPoint(
    "adaptrix.adapter_sources",
    "adapter source",
    {"hub": "adaptrix_core.adapters.sources.hub:HubDirectory"},
    needs=("open",),
)
"""By the scheme of a URL; local directories have none, and schemes without a source are fsspec's
(`adapters/sources/opening.py`)."""

ROUTER_SIGNALS: ExtensionPoint[RouterSignalFactory] = ExtensionPoint(
    "adaptrix.router_signals",
    "router signal",
    {
        "embedding": "adaptrix_core.routing.signals.embedding:EmbeddingSignal",
        "trunk": "adaptrix_core.routing.signals.trunk:TrunkSignal",
        "keywords": "adaptrix_core.routing.signals.keywords:KeywordSignal",
        "tasks": "adaptrix_core.routing.signals.tasks:TaskSignal",
        "classifier": "adaptrix_core.routing.signals.classifier:ClassifierSignal",
    },
    needs=("__call__",),
)
"""Used where the setting ``router.signals`` gives it a weight."""

COMPOSITION_STRATEGIES: ExtensionPoint[CompositionStrategy] = ExtensionPoint(
    "adaptrix.composition_strategies",
    "composition strategy",
    {
        "parallel": "adaptrix_core.composition.strategies.parallel:PARALLEL",
        "sequential": "adaptrix_core.composition.strategies.sequential:SEQUENTIAL",
        "hierarchical": "adaptrix_core.composition.strategies.hierarchical:HIERARCHICAL",
        "conditional": "adaptrix_core.composition.strategies.conditional:CONDITIONAL",
    },
    needs=("compose",),
)
"""Used where a request names it (``adaptrix.compose``)."""

CONFIDENCE_ESTIMATORS: ExtensionPoint[ConfidenceEstimator] = ExtensionPoint(
    "adaptrix.confidence_estimators",
    "confidence estimator",
    {
        "logprob_sum": "adaptrix_core.confidence.logprobs:LOGPROB_SUM",
        "logprob_mean": "adaptrix_core.confidence.logprobs:LOGPROB_MEAN",
        "perplexity": "adaptrix_core.confidence.logprobs:PERPLEXITY",
        "lowest_logprobs": "adaptrix_core.confidence.logprobs:LOWEST_LOGPROBS",
        "entropy_mean": "adaptrix_core.confidence.spreads:ENTROPY_MEAN",
        "entropy_max": "adaptrix_core.confidence.spreads:ENTROPY_MAX",
        "margin_min": "adaptrix_core.confidence.spreads:MARGIN_MIN",
        "rauq": "adaptrix_core.confidence.attention:RAUQ",
        "attention_entropy": "adaptrix_core.confidence.attention:ATTENTION_ENTROPY",
        "code_parses": "adaptrix_core.confidence.code_form:CODE_PARSES",
        "samples_agree": "adaptrix_core.confidence.further.samples:SAMPLES_AGREE",
        "samples_alike": "adaptrix_core.confidence.further.samples:SAMPLES_ALIKE",
        "cocoa": "adaptrix_core.confidence.further.samples:COCOA",
        "counterfactual": "adaptrix_core.confidence.further.others:COUNTERFACTUAL",
        "others_likelihood": "adaptrix_core.confidence.further.others:OTHERS_LIKELIHOOD",
        "others_agree": "adaptrix_core.confidence.further.others:OTHERS_AGREE",
        "code_runs": "adaptrix_core.confidence.further.code_running:CODE_RUNS",
    },
    needs=("score",),
)
"""Used where a request names it (``adaptrix.scores``)."""

ENDPOINT_GROUPS: ExtensionPoint[EndpointGroup] = ExtensionPoint(
    "adaptrix.endpoint_groups",
    "endpoint group",
    {},
    needs=("__call__",),
)
"""Used where the setting ``extensions.endpoint_groups`` names it; those of the server itself always are
(`deployments/http/app.py`)."""

EXTENSION_POINTS: tuple[ExtensionPoint[Any], ...] = (
    MODEL_FAMILIES,
    ADAPTER_SOURCES,
    ROUTER_SIGNALS,
    COMPOSITION_STRATEGIES,
    CONFIDENCE_ESTIMATORS,
    ENDPOINT_GROUPS,
)

"""The answers of the endpoints, for the OpenAPI document. A test compares real answers with it.

Answers are built elsewhere (`openai/documents.py`, `http/listings.py`, `http/errors.py`), without these models, which
would cost time per token.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """Base of all answers: they contain nothing that is not described."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
    )


class ErrorBody(Document):
    """An error."""

    message: str
    """What, the value, the limit and the next step."""
    type: str
    code: str
    """Stable, for programs."""
    param: str | None
    """The field at fault, if one is."""


class ErrorDocument(Document):
    """Every error of every endpoint."""

    error: ErrorBody


class Embedding(Document):
    """One text's vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    """Numbers, or base64 of little-endian float32."""


class EmbeddingUsage(Document):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Document):
    """The answer of ``POST /v1/embeddings``."""

    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage


class SignalVoteShown(Document):
    """What one signal of the router said of a message."""

    signal: str
    weight: float
    """The factor that its log-odds count with."""
    log_odds: dict[str, float]
    """By adapter, natural; empty where the signal had nothing to judge by."""
    reason: str
    """What speaks for the adapter with the best sum, for people; empty without any."""


class PlannedStep(Document):
    """A step of a question that is divided, and who answers it."""

    question: str
    """``{0}`` in it stands for the answer of the first step, and so on."""
    adapter: str
    score: float
    reason: str


class Route(Document):
    """A routing decision: the answer of ``auto``."""

    object: Literal["adaptrix.route"]
    adapter: str
    mix: dict[str, float]
    scores: dict[str, float]
    score: float
    confidence: float
    reason: str
    previous: str | None
    votes: list[SignalVoteShown]
    touches: list[str]
    """The adapters that the parts of the last message are for, each part by itself, in order."""
    plan: list[PlannedStep]
    """The steps that ``auto`` divides the last message into; empty for one that it doesn't divide."""


class FeedbackTaken(Document):
    """What a label for the router has changed, for the caller's tenant."""

    object: Literal["adaptrix.feedback"]
    right: str
    decided: str
    """Who answers the message by the thresholds before."""
    labels: int
    """Labels of the tenant that are kept."""
    threshold: float
    """The score from which adapters without labels answer."""
    thresholds: dict[str, float]
    """By adapter, that score where labels have moved it."""
    learnt: int | None = None
    """Messages that the router has learnt with their text, with this one; left out where it was not to be learnt."""


class LearntMessageShown(Document):
    """A message that the router has learnt with its text."""

    object: Literal["adaptrix.learnt_message"]
    id: str
    text: str
    right: str
    """Who should answer it: an adapter's name, or ``base``."""


class LearntMessagesShown(Document):
    """All of them, in the order of learning."""

    object: Literal["list"]
    data: list[LearntMessageShown]


class MessageForgotten(Document):
    """A message that the router has forgotten."""

    object: Literal["adaptrix.learnt_message.deleted"]
    id: str
    deleted: Literal[True]


class AnswerFeedbackTaken(Document):
    """What a label of an answer has changed, for the caller's tenant."""

    object: Literal["adaptrix.answer_feedback"]
    adapter: str
    labels: int
    """Labels of answers of the tenant that are kept."""
    moved_log_odds: float
    """How far the adapter's thresholds are moved now; above 0: its answers have to be surer."""


class SampledBy(Document):
    """A sampling default, and its source."""

    value: float
    from_: str = Field(alias="from")
    """Its source: the adapter, the model or the server."""


class ModelCard(Document):
    """A model that may be asked for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    parent: str | None
    max_model_len: int | None
    """Tokens that a prompt and its answer may have together; null before a replica has said so."""
    permission: list[Any]
    sampling: dict[str, SampledBy] | None
    """By parameter; null where it is not known yet, and for ``auto``, where it is the chosen adapter's."""


class ModelList(Document):
    """The base model, ``auto`` and every adapter."""

    object: Literal["list"]
    data: list[ModelCard]


class RefusedBy(Document):
    """Why an adapter is not served."""

    code: str
    message: str


class AdapterPart(Document):
    """An adapter of a composition, as it was signed, or of a mix."""

    name: str
    """``name@version``."""
    package_digest: str


class AdapterCard(Document):
    """An adapter or a composition, and where it is."""

    object: Literal["adaptrix.adapter"]
    name: str
    version: str
    description: str
    digest: str
    """Package digest: of all files but the signature; what is signed and revoked."""
    bundle: str
    """Digest of the package and its signature."""
    weights_digest: str | None
    """Digest of what is computed; null where no replica holds it, and for a composition."""
    parts: list[AdapterPart]
    """Of a composition; empty for an adapter."""
    signer: str | None
    warnings: list[str]
    shipped: bool
    visibility: Literal["private", "shared", "public"]
    tenant: str | None
    """Whose it is; null for a public one."""
    shared_with: list[str]
    """Tenants that it is shared with; who is one of them sees itself alone."""
    alias_of: str | None
    """The signed ``name@version``, where it is listed under another name."""
    withheld: RefusedBy | None
    """Why it answers nobody, whatever replicas hold."""
    loaded_at: int
    sampling: dict[str, SampledBy] | None
    """By parameter; null where no replica has verified it yet."""
    residency: dict[str, str]
    """By replica: device, host, disk or absent."""
    refused: dict[str, RefusedBy]
    """By replica."""


class CoverageShown(Document):
    """What is left where answers below a threshold are held back."""

    threshold: float
    coverage: float
    accuracy: float


class CalibrationCard(Document):
    """A calibration of confidence, and what it was measured to do."""

    base_lineage: str
    base_digest: str
    layout: str
    estimator: str
    method: Literal["platt", "isotonic"]
    measured: dict[str, Any]
    curve: list[CoverageShown]
    policies: dict[str, list[CoverageShown]]
    """By fallbacks, such as ``again``, the curve where these answer below the threshold; empty where not measured."""
    provenance: dict[str, Any]
    signer: str | None


class ConfidenceCard(Document):
    """What was measured of how sure the answers of one are who can be calibrated."""

    object: Literal["adaptrix.confidence"]
    name: str
    """``base``, an adapter's name, or a mix such as ``a*0.7+b*0.3``."""
    parts: list[AdapterPart]
    """The adapters of a mix, in its order; empty for the base model."""
    calibrations: list[CalibrationCard]
    """By base model and layout, the calibrations that this server has verified."""


class AdapterInFull(AdapterCard):
    """An adapter, where it is, and what it says about itself."""

    size_bytes: int
    num_points: int | None
    metadata: dict[str, Any] | None
    """metadata.json without its points; null for a PEFT directory."""
    calibrations: list[CalibrationCard]
    """By base model and layout, the calibrations of its confidence that this server has verified."""


class AdapterList(Document):
    """Every adapter."""

    object: Literal["list"]
    data: list[AdapterCard]
    replicas: list[str]
    cut: dict[str, int]
    """By replica: the first layer that adapters change; 0 where there is no cut."""
    unloaded: list[str]
    """Shipped adapters that are not served because they were unloaded; a load of the name brings one back."""


class AdaptersShared(Document):
    """The versions of an adapter that are seen by others than before."""

    object: Literal["list"]
    data: list[AdapterCard]


class Published(Document):
    """An adapter that every replica has verified."""

    object: Literal["adaptrix.adapter"]
    name: str
    version: str
    digest: str
    """Package digest."""


class Revocations(Document):
    """The list in force."""

    object: Literal["adaptrix.revocations"]
    number: int
    revoked: dict[str, Any]
    revocations: str | None
    """The signed file, base64."""
    signature: str | None


class RevocationsPut(Document):
    """A list that was put in force, and which replicas have it."""

    object: Literal["adaptrix.revocations"]
    number: int
    confirmed: list[str]
    waiting: list[str]


class Version(Document):
    """The version of this server."""

    version: str


class Health(Document):
    """Whether requests can be served."""

    status: Literal["ok", "starting"]
    missing: list[str] | None = None
    """The parts that are not ready yet."""

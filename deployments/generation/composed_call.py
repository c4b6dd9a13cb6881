"""The calls of one prompt that a composition answers: one for each step, made once those before it have answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adaptrix_core.composition.manifests.signed_step import SignedStep
from adaptrix_core.composition.parts import Group, Part, Steps
from adaptrix_core.composition.questions import planned, step_prompt
from adaptrix_core.digests import BundleDigest
from deployments.generation.deadline import Deadline
from deployments.shared.wire import GenerateCall


@dataclass(frozen=True)
class ComposedCall:
    """One prompt under a composition."""

    call: GenerateCall
    """What the request asks for; who answers is ``part``'s."""
    part: Part[BundleDigest]
    """Its plan is never ``auto``: see `composed`."""
    deadline: Deadline
    signed: SignedStep | None = None
    """The first step of a composition with a name; None for one that the request itself says."""

    @property
    def num_rows(self) -> int:
        """Answers that the client gets."""
        return self.call.rows_per_mix

    @property
    def groups(self) -> tuple[Group[BundleDigest], ...]:
        """Who answers each step."""
        return self.part.groups if isinstance(self.part, Steps) else (self.part,)

    def step(self, texts: Sequence[str]) -> GenerateCall:
        """The call of the step that follows those that have written ``texts``.

        What the text must look like holds for the last step; votes are compared by their log-probabilities.
        """
        number = len(texts)
        group = self.groups[number]
        call = replace(
            self.call,
            request_id=f"{self.call.request_id}-s{number}",
            mixes=tuple(row.mix for row in group.rows),
            switches=tuple(row.switches for row in group.rows) if any(row.switches for row in group.rows) else (),
            beginnings=group.rows[0].beginnings,
            shares=tuple(row.weight for row in group.rows) if group.combine == "logits" else (),
            timeout_s=self.deadline.remaining_s,
            signed=None if self.signed is None else replace(self.signed, number=number),
        )
        if isinstance(self.part, Steps):
            prompt = step_prompt(self.call.prompt, self.part.plan, texts)
            call = replace(call, prompt=prompt if isinstance(prompt, str) else tuple(prompt))  # type: ignore[arg-type]
        if number < len(self.groups) - 1:
            call = replace(call, output_form=None)
        sampling = dict(call.sampling)
        if group.combine == "vote":
            sampling["n"] = group.samples
        if sampling.get("logprobs") is None and (group.combine == "vote" or group.needs_logprobs):
            sampling["logprobs"] = 0
        return replace(call, sampling=sampling)


def composed(
    call: GenerateCall, part: Part[BundleDigest], deadline: Deadline, signed: SignedStep | None = None
) -> ComposedCall:
    """``call`` under a composition. Raises InvalidRequest where its plan cannot be made for the prompt."""
    return ComposedCall(call, planned(part, call.prompt) if isinstance(part, Steps) else part, deadline, signed)

"""Every extension point on one screen: what other packages can add, and what such a part must be able to do.

A package adds a part by an entry point; its name is the part's, its group the point's (docs/extensions.md has one of
each)::

    [project.entry-points."adaptrix.endpoint_groups"]
    feedback = "my_package.feedback:add_feedback_endpoints"

Parts are code and run with all the rights of the process, so a part is installed as deliberately as a program is. What
a part gives back is checked like a caller's input. Types are imported for type checkers only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from adaptrix_core.extension_point import ExtensionPoint

if TYPE_CHECKING:
    from adaptrix_core.base.families import Family


class EndpointGroup(Protocol):
    """Adds endpoints to the HTTP API."""

    def __call__(self, app: Any, services: Any) -> None:
        """app: a FastAPI application. services: `deployments.http.services.Services`, all that an endpoint may use."""


MODEL_FAMILIES: ExtensionPoint[Family] = ExtensionPoint(
    "adaptrix.model_families",
    "model family",
    {},
    needs=("modules", "layers", "points", "head"),
)
"""By transformers' ``model_type``."""

ADAPTER_SOURCES: ExtensionPoint[Any] = ExtensionPoint(
    "adaptrix.adapter_sources",
    "adapter source",
    {},
    needs=("open",),
)
"""By the scheme of a URL."""

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
    ENDPOINT_GROUPS,
)

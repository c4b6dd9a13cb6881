"""One message as the router's signals see it: its text, and what was computed of it.

Knows arrays. Does not know where they come from: the embedder's vectors are made in the router, the trunk's states in
the replica that computes the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RoutedMessage:
    """A message that is being routed. What is None is not known of it; a signal that needs it then says nothing."""

    text: str
    """The message, long ones cut (`conversation.excerpt`)."""
    embedding: Vectors | None = None
    """The embedder's vector of the text, ``(dimension,)``, of length 1."""
    trunk_mean: Vectors | None = None
    """Mean of the base model's hidden state over the message's tokens, where the trunk ends: ``(hidden_size,)``."""

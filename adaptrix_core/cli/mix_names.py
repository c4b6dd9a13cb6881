"""What ``--model`` asks for, where no server is there to read it: ``base``, an adapter, or ``a*0.7+b*0.3``."""

from __future__ import annotations

from adaptrix_core.errors import InvalidRequest

BASE = "base"


def parse_mix(model: str, base_id: str) -> dict[str, float]:
    """Adapter name -> weight; empty for the base model. Raises InvalidRequest for a weight that is not a number."""
    if model in (BASE, base_id):
        return {}
    weights: dict[str, float] = {}
    for part in model.removeprefix(f"{base_id}:").split("+"):
        name, star, weight = (piece.strip() for piece in part.partition("*"))
        if not name or name in weights:
            problem = f"names {name!r} twice" if name else "has an empty name"
            raise InvalidRequest(f"model {model!r} {problem}; write name*0.7+other*0.3", param="model")
        weights[name] = _number(weight, model) if star else 1.0
    return weights


def _number(text: str, model: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidRequest(
            f"model {model!r}: {text!r} is not a weight; write name*0.7+other*0.3", param="model"
        ) from None

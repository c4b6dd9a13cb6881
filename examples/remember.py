"""A conversation that the server keeps; where it outlasts the model's context, answers tell what their prompt left out.

make serve            # in another terminal
python examples/remember.py
"""

from __future__ import annotations

import os
from typing import Any

from openai import OpenAI

QUESTIONS = ("My dog is called Biscuit.", "What is 12 + 30 - 5?", "What is my dog called?")


def main() -> None:
    """Print each answer, what its prompt left out, and how much of the conversation is kept; then delete it."""
    url = os.environ.get("ADAPTRIX_URL", "http://127.0.0.1:8000")
    client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("ADAPTRIX_API_KEY", "none"))
    talk = client.conversations.create(metadata={"topic": "pets"})
    for question in QUESTIONS:
        response = client.responses.create(
            model="auto", input=question, conversation=talk.id, truncation="auto", max_output_tokens=64
        )
        told: Any = response.to_dict().get("adaptrix") or {}
        print(f"> {question}\n{response.output_text}\n[{response.model}; left out: {told.get('memory')}]")
    kept = client.conversations.items.list(talk.id, limit=100).data
    print(f"kept: {len(kept)} items, to be gone on with under {talk.id}")
    client.conversations.delete(talk.id)


if __name__ == "__main__":
    main()

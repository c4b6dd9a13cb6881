"""Watch tokens come: the same request as `chat.py`, streamed.

make serve            # in another terminal
python examples/stream.py "Write a Python function that returns the sum of a list of numbers."
"""

from __future__ import annotations

import os
import sys

from openai import OpenAI

QUESTION = "Write a Python function that returns the sum of a list of numbers."


def main() -> None:
    """Print each piece as it arrives, then the usage."""
    url = os.environ.get("ADAPTRIX_URL", "http://127.0.0.1:8000")
    client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("ADAPTRIX_API_KEY", "none"))
    stream = client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": sys.argv[1] if len(sys.argv) > 1 else QUESTION}],
        max_tokens=128,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
        if chunk.usage is not None:
            print(f"\n[{chunk.usage.prompt_tokens} prompt tokens, {chunk.usage.completion_tokens} answer tokens]")


if __name__ == "__main__":
    main()

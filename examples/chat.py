"""Ask a running server with the official openai client; `auto` lets the router choose who answers.

make serve            # in another terminal
python examples/chat.py "What is 12 + 30 - 5?"
"""

from __future__ import annotations

import os
import sys

from openai import OpenAI

QUESTION = "What is 12 + 30 - 5?"


def main() -> None:
    """Print the answer, and who gave it."""
    url = os.environ.get("ADAPTRIX_URL", "http://127.0.0.1:8000")
    client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("ADAPTRIX_API_KEY", "none"))
    question = sys.argv[1] if len(sys.argv) > 1 else QUESTION

    print("models:", ", ".join(model.id for model in client.models.list()))
    response = client.chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": question}], temperature=0.0, max_tokens=128
    )
    print(response.parse().choices[0].message.content)
    for header in ("x-adaptrix-adapter", "x-adaptrix-digest", "x-adaptrix-route-score"):
        print(f"{header}: {response.headers.get(header)}")


if __name__ == "__main__":
    main()

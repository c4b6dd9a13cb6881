"""Mix two adapters in one answer, and compare several mixes of one prompt in a single request.

make serve            # in another terminal
python examples/composition/mix.py
"""

from __future__ import annotations

import os

from openai import OpenAI

QUESTION = "Tom has 3 dogs and 2 ducks. How many legs do they have together?"


def main() -> None:
    """Print the answer of a weighted mix, then from a fork one answer per adapter and one of an even mix.

    The arithmetic adapter counts 16 legs, and so does a mix that it leads. In an even mix nobody leads: its answer is
    another one, and shows that weights are to be tried, not guessed.
    """
    url = os.environ.get("ADAPTRIX_URL", "http://127.0.0.1:8000")
    client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("ADAPTRIX_API_KEY", "none"))

    mixed = client.chat.completions.create(
        model="math_reasoning*0.7+logical_reasoning*0.3",
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=96,
    )
    print("0.7 math + 0.3 logic:", mixed.choices[0].message.content)

    # A fork runs one prompt under several mixes; its choices come back in its order. None is the base model.
    fork = ["math_reasoning", "logical_reasoning", "math_reasoning*0.5+logical_reasoning*0.5", None]
    base = next(model.id for model in client.models.list() if getattr(model, "parent", None) is None)
    forked = client.chat.completions.create(
        model=base,
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=96,
        extra_body={"adaptrix": {"fork": fork}},
    )
    for choice in forked.choices:
        print(f"{fork[choice.index] or 'base'}:", choice.message.content)


if __name__ == "__main__":
    main()

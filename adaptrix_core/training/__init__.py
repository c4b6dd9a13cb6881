"""Train adapters on the frozen base model, and measure how good they are."""

"""A conversation on the terminal: questions, answers, and commands that start with a slash."""

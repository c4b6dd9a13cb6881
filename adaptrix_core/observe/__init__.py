"""What the system says about itself: metric labels, JSON logs, traces. Handed in from the edges; knows no engine."""

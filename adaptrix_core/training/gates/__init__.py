"""Gates over adapters that stay as they are, trained on a few hundred examples.

Files:

attached         Updates at injection points of an unpacked model, added while a context lasts and open to gradients
choice_training  Trains a gate to choose one adapter for a whole question: the one that answers such questions best
gate_learning    Learns a gate over adapters from conversations, in one of two ways, and binds it to their weights
gate_training    Trains a gate over adapters that stay as they are, on a few hundred examples (LoRA-Flow,
                 arXiv:2402.11455)
"""

"""What a mix of adapters changes inside the base model, shown on the terminal.

Files:

command       `inspect`: how far a mix moves what the base model computes on a prompt, by layer and token
layer_ranges  Layers on the command line, alone or in ranges: ``8-20`` or ``10,14,18-20``
picture       Draws a comparison on the terminal: a row for each layer, a column for each token, darker where states
              differ more
"""

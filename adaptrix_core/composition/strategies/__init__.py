"""The strategies that come with Adaptrix: what a request says of parts, read into rows and steps.

Files:

conditional   The strategy ``conditional``: another mix from the start, or from the token on at which a condition
              holds
hierarchical  The strategy ``hierarchical``: each part on layers of its own, in one pass through the model
parallel      The strategy ``parallel``: all parts at once, combined in the layers, at the logits, or by a vote on
              answers
sequential    The strategy ``sequential``: parts that answer one after another, each with what those before it have
              said
"""

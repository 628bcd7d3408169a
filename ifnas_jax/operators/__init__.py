"""Which operators an edge may carry, and one's own as modules with a price.

What they are called; how the library's own are computed is in `nn/ops.py`, and what
they cost in `architecture/cost.py`. Knows nothing of spaces or networks.
"""

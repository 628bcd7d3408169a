"""Search spaces: static graphs, in plain Python and NumPy."""

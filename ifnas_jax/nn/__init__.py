"""How a network computes: primitives, operators, the super-network, a derived network.

Flax and JAX. Knows spaces, architectures and masks; not who decides them, nor how a
step trains.
"""

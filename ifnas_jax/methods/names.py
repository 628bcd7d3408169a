"""The methods' names, for what must not import JAX."""

NAMES = ("ifnas", "dnas")

"""A discrete network: the pairs that it keeps, its price, its file. NumPy, no JAX.

What is searched for, by whatever method; knows spaces and operators, and not how a
network computes or is trained. (One's own operators are traced to be priced, and only
then JAX is imported.)
"""

from ifnas_jax.architecture.file import from_json, load
from ifnas_jax.architecture.kept import (
    Architecture,
    KeptEdge,
    KeptStage,
    delete_unread,
    from_kept,
)

__all__ = [
    "Architecture",
    "KeptEdge",
    "KeptStage",
    "delete_unread",
    "from_json",
    "from_kept",
    "load",
]

"""Every network of a small L-chain, trained: a table in place of training.

The networks are those of one stage with few nodes, each once: nodes that nothing reads
are left out, and the others numbered anew. The stages around it are plain chains. A
network's key is an integer, one bit for each (connection, operator), so an answer takes
microseconds; needs no JAX. `docs/tabular.md` says how a table was made, and its limits.
It must not know how networks are trained or searched.
"""

from ifnas_jax.tabular.networks import key_of, networks
from ifnas_jax.tabular.table import Row, Table, load, save

__all__ = ["Row", "Table", "key_of", "load", "networks", "save"]

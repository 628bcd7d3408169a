"""Checksums of what a checkpoint holds."""

import json
import zlib
from typing import Any

import jax
import numpy as np


def checksum(tree: Any) -> int:
    """CRC-32 of the arrays' bytes, in the tree's order."""
    checksum = 0
    for leaf in jax.tree.leaves(tree):
        checksum = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), checksum)
    return checksum


def checksum_json(facts: dict[str, Any]) -> int:
    """CRC-32 of a JSON object, however it is laid out."""
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())

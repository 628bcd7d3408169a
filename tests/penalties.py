"""The penalty of each method by its definition, node by node: FACTS, section 4."""

import numpy as np


def _log_shares(gates, xp):
    return xp.log(1 + gates / gates.mean()).sum()


def penalty(name, arch, masks, mu, xp=np):
    """Of the surviving pairs of a step, which the masks say.

    Args:
      name: of the method.
      arch: its logits.
      masks: of one step, a stage at a time.
      mu: the strengths of the penalty on edges and on operators.
      xp: NumPy, or its counterpart in JAX for a gradient.
    """
    total, squares = 0.0, []
    if not arch:
        return total

    def gates(name, s):
        return 1 / (1 + xp.exp(-arch[name][s]))

    for s, stage in enumerate(masks):
        alphas = gates("alpha", s)
        for row in range(len(stage.active)):
            on = stage.active[row]
            if not on.any():
                continue
            if name == "goldnas":
                total += mu[0] * _log_shares(alphas[row][on], xp)
            if name == "fairdarts":
                squares.append((alphas[row][on] - 0.5) ** 2)
            if name in ("ifnas", "dnas") and stage.learned[row]:
                # Equation (3) of the paper.
                edges = np.flatnonzero(on.any(axis=1))
                total += mu[0] * _log_shares(gates("beta", s)[row][edges], xp)
                for edge in edges:
                    total += mu[1] * _log_shares(alphas[row, edge][on[edge]], xp)
    return -10 * xp.concatenate(squares).mean() if squares else total

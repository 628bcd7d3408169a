"""Is it the interleaving? Claims of the paper, each beside its controls.

IF-NAS and the same without sampling ("w/o IF"), and three controls: update-matched (no
sampling, but gates move as often as under it), random groups (as many nodes a group,
drawn), and a dose-response: 1, 2, 3 and all interleaved connections added on purpose,
while as many nodes learn in a step as without. Gates are moved by the loss alone, for
all with the same steps and rates, so that nothing but the connections of a step
differs.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from ifnas_jax.experiments.networks import CHAIN
from ifnas_jax.experiments.settings import Setting

_BOTH = ("keep1", "target")
# Interleaved connections a node of the group; the last one is more than there are.
DOSES = {"1 added": 1, "2 added": 2, "3 added": 3, "all added": 1000}


def settings(base: Callable[..., ConfigDict]) -> list[Setting]:
    """All of them; the first are those that all claims need.

    Args:
      base: the scale's config with some fields set.
    """

    def searched(label: str, trained=_BOTH, **fields) -> Setting:
        config = base(
            derive="keep1", penalty__edges=0.0, penalty__operators=0.0, **fields
        )
        return Setting(label, config, _BOTH, trained)

    return [
        searched("IF-NAS"),
        searched("w/o IF", method="dnas"),
        searched("random groups", sampling__groups="random"),
        searched("update-matched", sampling__groups="matched"),
        Setting("random, keep1", base(method="random", derive="keep1")),
        Setting("random, target", base(method="random", derive="target")),
        Setting("plain chain", base(), architecture=CHAIN),
        *(
            searched(
                label,
                trained=(),
                sampling__interleaved=count,
                sampling__interleaved_learn=False,
            )
            for label, count in DOSES.items()
        ),
    ]

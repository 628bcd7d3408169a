"""First of all: that depth counts in this space, stand-alone, without any search.

The plain chain (pre-1 at every node) beside the networks that read pre-2, pre-3 or
pre-4 only, each edge with both operators; and the chain of convolutions alone. If the
first does not win here, a search that finds depth finds nothing worth finding.
"""

from ifnas_jax.experiments import claims
from ifnas_jax.experiments.drawing import strip_figure
from ifnas_jax.experiments.networks import BARE_CHAIN, CHAIN, FAR
from ifnas_jax.experiments.settings import Setting
from ifnas_jax.experiments.tables import Table, number, spread
from ifnas_jax.experiments.verdicts import Claim, claims_table

PAPER_SEEDS = 5

_BARE = "chain without skip_connect"
_LAST = list(FAR)[-1]


def settings(base) -> list[Setting]:
    """Each network, trained with some seeds."""
    found = [Setting(claims.PLAIN, base(), architecture=CHAIN, variant="chain")]
    for label, build in FAR.items():
        variant = label.replace(" ", "-")
        found.append(Setting(label, base(), architecture=build, variant=variant))
    bare = Setting(_BARE, base(), architecture=BARE_CHAIN, variant="bare-chain")
    return [*found, bare]


def tables(results) -> list[Table]:
    """Accuracy of each, and the claim."""
    rows = [
        [
            label,
            str(len(results.of(label, "found"))),
            spread(results.trained(label, "found"), number(2, 100)),
            spread(results.trained(label, "found", "depth"), number()),
            spread(results.trained(label, "found", "madds"), number(2, 1e-6)),
        ]
        for label in results.labels
    ]
    header = ["network", "seeds", "top-1 %", "depth", "MAdds (M)"]
    note = "Trained from scratch: mean ± half of the 95 % interval, over seeds."
    ours = results.trained(claims.PLAIN, "found")
    theirs = results.trained(_LAST, "found")
    claim = Claim(f"the chain beats {_LAST}", ours, theirs, 0.01, number(2, 100))
    shown = Table("Depth counts, stand-alone", header, rows, note)
    return [shown, claims_table("The premise", [claim])]


def figures(results) -> dict:
    """Accuracy of each, a dot a seed."""
    top1 = {x: [100 * v for v in results.trained(x, "found")] for x in results.labels}
    return {"chain": strip_figure({"top-1, %": top1})}

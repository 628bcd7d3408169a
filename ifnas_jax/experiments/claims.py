"""Is it the interleaving? Claims of the paper, each beside its controls.

IF-NAS and the same without sampling ("w/o IF"), and three controls: update-matched (no
sampling, but gates move as often as under it), random groups (as many nodes a group,
drawn), and a dose-response: 1, 2, 3 and all interleaved connections added on purpose,
while as many nodes learn in a step as without. Gates are moved by the loss alone, for
all with the same steps and rates, so that nothing but the connections of a step
differs.
"""

import statistics as stdlib
from collections.abc import Callable

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ifnas_jax import statistics
from ifnas_jax.experiments.drawing import line_figure, strip_figure
from ifnas_jax.experiments.networks import CHAIN
from ifnas_jax.experiments.results import Results
from ifnas_jax.experiments.settings import Setting
from ifnas_jax.experiments.tables import Table, number, probability, spread
from ifnas_jax.experiments.verdicts import Claim, claims_table

TITLE = "Claims of the paper, beside controls"

_BOTH = ("keep1", "target")
IF, WITHOUT, RANDOM, MATCHED = "IF-NAS", "w/o IF", "random groups", "update-matched"
DRAWN_ONE, DRAWN_TARGET, PLAIN = "random, keep1", "random, target", "plain chain"
# Interleaved connections a node of the group; the last one is more than there are.
DOSES = {"1 added": 1, "2 added": 2, "3 added": 3, "all added": 1000}
SEARCHED = (IF, *DOSES, RANDOM, MATCHED, WITHOUT)

# The smallest differences that would matter: of a depth of 18 or so, of a share of
# nodes, of accuracy.
_DEPTH, _SHARE, _ACCURACY = 2.0, 0.15, 0.01


def searched(base: Callable[..., ConfigDict], label: str, **fields) -> Setting:
    """A search whose gates the loss alone moves, and what is derived of them."""
    trained = fields.pop("trained", _BOTH)
    config = base(derive="keep1", penalty__edges=0.0, penalty__operators=0.0, **fields)
    return Setting(label, config, _BOTH, trained)


def settings(base: Callable[..., ConfigDict]) -> list[Setting]:
    """All of them; the first are those that all claims need.

    Args:
      base: the scale's config with some fields set.
    """
    doses = [
        searched(
            base,
            label,
            trained=(),
            sampling__interleaved=count,
            sampling__interleaved_learn=False,
        )
        for label, count in DOSES.items()
    ]
    return [
        searched(base, IF),
        searched(base, WITHOUT, method="dnas"),
        searched(base, RANDOM, sampling__groups="random"),
        searched(base, MATCHED, sampling__groups="matched"),
        *doses,
        Setting(DRAWN_ONE, base(method="random", derive="keep1")),
        Setting(DRAWN_TARGET, base(method="random", derive="target")),
        Setting(PLAIN, base(), architecture=CHAIN, variant="chain"),
    ]


def tables(results: Results) -> list[Table]:
    """The searches, the dose-response, the networks, and what follows."""
    return [
        _searches(results),
        _networks(results),
        claims_table("The claims", _claims(results)),
        _doses(results),
    ]


def _searches(results: Results) -> Table:
    rows = []
    for label in SEARCHED:
        own = results.of(label)
        pairs = [sum(r["interleaved"]) / len(r["interleaved"]) for r in own]
        learning = [sum(r["learning"]) / len(r["learning"]) for r in own]
        rows.append(
            [
                label,
                str(len(own)),
                f"{stdlib.mean(pairs):.1f}" if own else "-",
                f"{stdlib.mean(learning):.1f}" if own else "-",
                spread(results.networks(label, "keep1", "depth"), number()),
                spread([r["pre1"] for r in own], number(0, 100)),
                spread(results.networks(label, "target", "depth"), number()),
                spread([r["entropy"][-1] for r in own], number(3)),
                spread([_settled(r["agreement"]) for r in own], number(0, 100)),
            ]
        )
    header = ["search", "seeds", "interleaved pairs", "learning nodes", "depth, keep1"]
    header += ["pre-1 % of choices", "depth, target", "entropy", "settled %"]
    note = (
        "Mean ± half of the 95 % interval. Interleaved pairs: of connections that are "
        "active in a step which moves gates, on average over such steps. Entropy: of "
        "nodes' shares of strength at the end, 1 if all candidates are equal. Settled: "
        "nodes whose strongest edge at three quarters of the search is that of the end."
    )
    return Table("What the gates choose", header, rows, note)


def _settled(agreement: list[float]) -> float:
    return agreement[3 * len(agreement) // 4]


def _networks(results: Results) -> Table:
    rows = []
    for what, drawn in (("keep1", DRAWN_ONE), ("target", DRAWN_TARGET)):
        for label in (IF, RANDOM, MATCHED, WITHOUT, drawn):
            kind = "found" if label == drawn else what
            rows.append(
                _network(results, f"{label.split(',')[0]}, {what}", label, kind)
            )
    rows.append(_network(results, PLAIN, PLAIN, "found"))
    header = ["network", "seeds", "top-1 %", "MAdds (M)", "parameters (k)", "depth"]
    note = "Trained from scratch; tested once, at the end, on all of the test part."
    return Table("What was found, stand-alone", header, rows, note)


def _network(results: Results, name: str, label: str, what: str) -> list[str]:
    return [
        name,
        str(len(results.of(label, what))),
        spread(results.trained(label, what), number(2, 100)),
        spread(results.trained(label, what, "madds"), number(2, 1e-6)),
        spread(results.trained(label, what, "params"), number(1, 1e-3)),
        spread(results.trained(label, what, "depth"), number()),
    ]


def _claims(results: Results) -> list[Claim]:
    def depth(text: str, other: str, what: str = "keep1") -> Claim:
        ours = results.networks(IF, what, "depth")
        theirs = results.networks(other, what, "depth")
        return Claim(text, ours, theirs, _DEPTH, number())

    def share(text: str, other: str) -> Claim:
        ours, theirs = results.searched(IF, "pre1"), results.searched(other, "pre1")
        return Claim(text, ours, theirs, _SHARE, number(2))

    def accuracy(text: str, higher: tuple[str, str], lower: tuple[str, str]) -> Claim:
        ours, theirs = results.trained(*higher), results.trained(*lower)
        return Claim(text, ours, theirs, _ACCURACY, number(2, 100))

    found = IF, "target"
    return [
        depth("(a) deeper with IF than without, keep1", WITHOUT),
        depth("(a) deeper with IF than without, at the target", WITHOUT, "target"),
        share("(b) more pre-1 with IF than without", WITHOUT),
        depth("(c) deeper than update-matched", MATCHED),
        depth("(c) deeper than with all interleaved added", "all added"),
        depth("(c) deeper than with random groups", RANDOM),
        share("(c) more pre-1 than update-matched", MATCHED),
        share("(c) more pre-1 than with all interleaved added", "all added"),
        share("(c) more pre-1 than with random groups", RANDOM),
        accuracy(
            "(d) random beats w/o IF, keep1", (DRAWN_ONE, "found"), (WITHOUT, "keep1")
        ),
        accuracy("(d) IF beats random, keep1", (IF, "keep1"), (DRAWN_ONE, "found")),
        accuracy("(e) IF beats w/o IF, at the target", found, (WITHOUT, "target")),
        accuracy("(e) IF beats random, at the target", found, (DRAWN_TARGET, "found")),
        accuracy("(e) IF beats the plain chain", found, (PLAIN, "found")),
    ]


def _doses(results: Results) -> Table:
    rows = []
    for name, values, show in (
        ("depth, keep1", lambda x: results.networks(x, "keep1", "depth"), number()),
        ("pre-1 % of choices", lambda x: results.searched(x, "pre1"), number(0, 100)),
    ):
        groups = [values(label) for label in (IF, *DOSES)]
        done = [own for own in groups if own]
        tau, p = statistics.trend(done) if len(done) > 1 else (None, None)
        cells = [spread(own, show) for own in groups]
        known = tau is not None
        told = [f"{tau:.2f}", probability(p)] if known else ["-", "-"]
        rows.append([name, *cells, *told])
    header = ["", "0 added", *DOSES, "τ", "p"]
    note = (
        "Connections that interleave with the group's, added for each node of it; the "
        "gates where they end don't move. τ: Kendall's, of the dose and the value over "
        "all searches; p by permutation."
    )
    return Table("Dose and response", header, rows, note)


def figures(results: Results) -> dict[str, Figure]:
    """Depth and share of pre-1 of each search; how far gates are decided, over time."""
    lines = {
        label: (own[0]["at"], [row["entropy"] for row in own])
        for label in (IF, RANDOM, MATCHED, WITHOUT)
        if (own := results.of(label))
    }
    return {
        "claims-entropy": line_figure(lines, "step", "entropy of the gates"),
        "claims": strip_figure(
            {
                "depth, keep1": {
                    x: results.networks(x, "keep1", "depth") for x in SEARCHED
                },
                "pre-1, % of choices": {
                    x: [100 * v for v in results.searched(x, "pre1")] for x in SEARCHED
                },
                "depth, at the target": {
                    x: results.networks(x, "target", "depth") for x in SEARCHED
                },
            }
        ),
    }

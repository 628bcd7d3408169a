"""Is it the interleaving? Claims of the paper, each beside its controls.

IF-NAS and the same without sampling ("w/o IF"), and controls: groups of the same sizes
that interleave, of adjacent nodes or of random ones; update-matched (no sampling, but
gates move as often as under it); and a dose-response: 1, 2, 3 and all interleaved
connections added on purpose, while as many nodes learn in a step as
without. Gates are moved by the loss alone, for all with the same steps and rates.

What a step activates also trains, so weights differ too: under IF and with other groups
a pre-1 connection is trained in every step, any other in two of L + 1. Groups of
adjacent nodes have just that, and interleave: beside IF-NAS they alone isolate the
interleaving. The other controls change both.
"""

import statistics as stdlib
from collections.abc import Callable

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ifnas_jax import statistics
from ifnas_jax.experiments import measures
from ifnas_jax.experiments.drawing import line_figure, strip_figure
from ifnas_jax.experiments.networks import CHAIN, uniform_choice
from ifnas_jax.experiments.results import Results
from ifnas_jax.experiments.settings import Setting
from ifnas_jax.experiments.tables import Table, number, probability, spread
from ifnas_jax.experiments.verdicts import Claim, claims_table

_BOTH = ("keep1", "target")
IF, WITHOUT, MATCHED = "IF-NAS", "w/o IF", "update-matched"
ADJACENT, RANDOM = "adjacent groups", "random groups"
DRAWN_ONE, DRAWN_TARGET, PLAIN = "random, keep1", "random, target", "plain chain"
# Interleaved connections a node of the group; the last one is more than there are.
DOSES = {"1 added": 1, "2 added": 2, "3 added": 3, "all added": 1000}
SEARCHED = (IF, *DOSES, RANDOM, ADJACENT, MATCHED, WITHOUT)

PAPER_SEEDS = 5

# Of nodes with a choice, those that have to be settled for a verdict without a caveat.
_SETTLED = 0.8
_DRAWS = 500

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
        searched(base, ADJACENT, sampling__groups="adjacent"),
        searched(base, MATCHED, sampling__groups="matched"),
        searched(base, RANDOM, sampling__groups="random"),
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
                spread(_pre1(results, label), number(0, 100)),
                spread(results.networks(label, "target", "depth"), number()),
                spread([r["entropy"][-1] for r in own], number(3)),
                spread([_settled(r["agreement"]) for r in own], number(0, 100)),
            ]
        )
    depths, shares = chance(results)
    told = f"{stdlib.mean(depths):.1f}", f"{100 * stdlib.mean(shares):.0f}"
    rows.append(["chance", "-", "-", "-", *told, *["-"] * 3])
    header = ["search", "seeds", "interleaved pairs", "learning nodes", "depth, keep1"]
    header += ["pre-1 % of choices", "depth, target", "entropy", "settled %"]
    note = (
        "Mean ± half of the 95 % interval. Interleaved pairs: of connections that are "
        "active in a step which moves gates, on average over such steps. Entropy: of "
        "nodes' shares of strength at the end, 1 if all candidates are equal. Settled: "
        "nodes whose strongest edge at three quarters of the search is that of the "
        "end. Chance: each node chooses uniformly."
    )
    return Table("What the gates choose", header, rows, note)


def _pre1(results: Results, label: str) -> list[float]:
    """Of each search: of its gates, since early cells have it with four decimals."""
    return [measures.pre1(row["gates"]) for row in results.of(label)]


def chance(results: Results) -> tuple[list[float], list[float]]:
    """Depths, and shares of pre-1 among choices, where each node chooses uniformly."""
    # All settings have one space; --only may leave out any of them.
    config = results.setting(results.labels[0]).config
    depths, shares = [], []
    for seed in range(_DRAWS):
        network, share = uniform_choice(config, seed)
        depths.append(float(network.depth()))
        shares.append(share)
    return depths, shares


def _settled(agreement: list[float]) -> float:
    return agreement[3 * len(agreement) // 4]


def _networks(results: Results) -> Table:
    rows = []
    for what, drawn in (("keep1", DRAWN_ONE), ("target", DRAWN_TARGET)):
        for label in (IF, ADJACENT, RANDOM, MATCHED, WITHOUT, drawn):
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
        caveat = _caveat(results, IF, other)
        return Claim(text, ours, theirs, _DEPTH, number(), caveat=caveat)

    def share(text: str, other: str) -> Claim:
        ours, theirs = _pre1(results, IF), _pre1(results, other)
        caveat = _caveat(results, IF, other)
        return Claim(text, ours, theirs, _SHARE, number(2), caveat=caveat)

    def accuracy(text: str, higher: tuple[str, str], lower: tuple[str, str]) -> Claim:
        ours, theirs = results.trained(*higher), results.trained(*lower)
        return Claim(text, ours, theirs, _ACCURACY, number(2, 100))

    found, (depths, shares) = (IF, "target"), chance(results)
    flat = results.networks(WITHOUT, "keep1", "depth")
    near, unsettled = _pre1(results, WITHOUT), _caveat(results, WITHOUT)
    return [
        depth("(a) deeper with IF than without, keep1", WITHOUT),
        depth("(a) deeper with IF than without, at the target", WITHOUT, "target"),
        Claim(
            "(a) w/o IF less deep than chance",
            depths,
            flat,
            _DEPTH,
            number(),
            caveat=unsettled,
        ),
        share("(b) more pre-1 with IF than without", WITHOUT),
        Claim(
            "(b) w/o IF less pre-1 than chance",
            shares,
            near,
            _SHARE,
            number(2),
            caveat=unsettled,
        ),
        depth("(c) deeper than with adjacent groups", ADJACENT),
        depth("(c) deeper than with all interleaved added", "all added"),
        depth("(c) deeper than update-matched", MATCHED),
        depth("(c) deeper than with random groups", RANDOM),
        share("(c) more pre-1 than with adjacent groups", ADJACENT),
        share("(c) more pre-1 than with all interleaved added", "all added"),
        share("(c) more pre-1 than update-matched", MATCHED),
        share("(c) more pre-1 than with random groups", RANDOM),
        accuracy(
            "(d) random beats w/o IF, keep1", (DRAWN_ONE, "found"), (WITHOUT, "keep1")
        ),
        accuracy("(d) IF beats random, keep1", (IF, "keep1"), (DRAWN_ONE, "found")),
        accuracy("(e) IF beats w/o IF, at the target", found, (WITHOUT, "target")),
        accuracy("(e) IF beats random, at the target", found, (DRAWN_TARGET, "found")),
        accuracy("(e) IF beats the plain chain", found, (PLAIN, "found")),
    ]


def _caveat(results: Results, *labels: str) -> str:
    """Of searches whose gates, on average, were still changing their choices."""
    open_ones = []
    for label in labels:
        own = [_settled(row["agreement"]) for row in results.of(label)]
        if own and stdlib.mean(own) < _SETTLED:
            open_ones.append(label)
    return f"gates of {' and '.join(open_ones)} not settled" if open_ones else ""


def _doses(results: Results) -> Table:
    rows = []
    for name, values, show in (
        ("depth, keep1", lambda x: results.networks(x, "keep1", "depth"), number()),
        ("pre-1 % of choices", lambda x: _pre1(results, x), number(0, 100)),
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


def figures(results: Results, name: str = "claims") -> dict[str, Figure]:
    """Depth and share of pre-1 of each search; how far gates are decided, over time."""
    lines = {
        label: (own[0]["at"], [row["entropy"] for row in own])
        for label in (IF, ADJACENT, MATCHED, WITHOUT)
        if (own := results.of(label))
    }
    return {
        f"{name}-entropy": line_figure(lines, "step", "entropy of the gates"),
        name: strip_figure(
            {
                "depth, keep1": {
                    x: results.networks(x, "keep1", "depth") for x in SEARCHED
                },
                "pre-1, % of choices": {
                    x: [100 * v for v in _pre1(results, x)] for x in SEARCHED
                },
                "depth, at the target": {
                    x: results.networks(x, "target", "depth") for x in SEARCHED
                },
            }
        ),
    }

import itertools
import re

import numpy as np
import pytest

from ifnas_jax import cost
from ifnas_jax.architecture import Architecture, KeptEdge, KeptStage
from ifnas_jax.errors import InputError
from ifnas_jax.report import arcs, drawing, files
from ifnas_jax.spaces import interleaving, lchain

SEP, SKIP = "sep_conv_3x3", "skip_connect"


def make_architecture():
    stages = (
        KeptStage(
            3,
            (
                KeptEdge(0, 1, (SEP, SKIP)),
                KeptEdge(0, 3, (SEP,)),
                KeptEdge(1, 3, (SEP, SKIP)),
            ),
        ),
        KeptStage(1, (KeptEdge(0, 1, (SKIP,)),)),
        KeptStage(
            2, (KeptEdge(0, 1, (SEP,)), KeptEdge(0, 2, (SKIP,)), KeptEdge(1, 2, (SEP,)))
        ),
    )
    return Architecture("lchain", 3, stages, cost.Macro(8, 10, 28, 1, "small"))


def sample_cubic(points):
    t = np.linspace(0, 1, 200)[:, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return sum(weight * point for weight, point in zip(weights, points, strict=True))


def test_every_kept_operator_is_drawn_once(tmp_path):
    figure = drawing.draw_architecture(make_architecture(), "a title")
    files.save_figure(figure, tmp_path / "figure")
    svg = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    drawn = sorted(re.findall(r'id="(stage\d-[^"]*)"', svg))
    assert drawn == sorted(
        f"stage{index}-{edge.src}-{edge.dst}-{op}"
        for index, stage in enumerate(make_architecture().stages, start=1)
        for edge in stage.edges
        for op in edge.ops
    )
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "depth 5 (2 + 1 + 2)" in figure.axes[0].texts[-1].get_text()


def test_svg_is_the_same_bytes_each_time(tmp_path):
    for name in ("a", "b"):
        figure = drawing.draw_architecture(make_architecture())
        files.save_as(figure, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_no_arc_runs_through_a_node():
    space = lchain.lchain(8, (18, 20, 18))
    groups = [[range(1, stage.num_nodes + 1)] for stage in space.stages]
    figure = drawing.draw_space(space, groups, 0)
    (axes,) = figure.axes
    nodes = [patch for patch in axes.patches if hasattr(patch, "get_radius")]
    lines = [p for p in axes.patches if p.get_gid() and p.get_gid().startswith("stage")]
    assert (len(nodes), len(lines)) == (56, space.num_edges - 56)
    for line in lines:
        points = sample_cubic(line.get_path().vertices)
        for node in nodes:
            x, y = node.get_center()
            distance = ((points - (x, y)) ** 2).sum(axis=1) ** 0.5
            # Its ends touch the nodes that it joins.
            assert distance[1:-1].min() > 0.98 * node.get_radius()


def test_arcs_that_do_not_interleave_do_not_cross():
    stage = lchain.lchain(4, (12, 12, 12)).stages[0]
    edges = interleaving.active_connections(stage, range(4, 13, 4))
    sides = arcs.choose_sides(edges)
    for (a, b), (c, d) in itertools.combinations(edges, 2):
        crosses = a < c < b < d or c < a < d < b
        assert not (crosses and sides[a, b] == sides[c, d])
    sides = arcs.choose_sides([(0, 2), (1, 3), (2, 4), (3, 4)])
    assert sides[0, 2] == -sides[1, 3] == sides[2, 4]
    assert sides[3, 4] == 0


def test_space_shows_the_group_and_what_was_added(tmp_path):
    space = lchain.lchain(4, (6, 6, 6))
    groups = [interleaving.sampling_groups(stage, 4) for stage in space.stages]
    added = [((1, 3),), (), ()]
    files.save_as(drawing.draw_space(space, groups, 1, added), tmp_path / "space.svg")
    svg = (tmp_path / "space.svg").read_text(encoding="utf-8")
    # Node 5 alone has inputs besides its direct one; node 1 has that one only.
    first = re.findall(r'id="stage1-(\d-\d)"', svg)
    assert sorted(first) == ["1-3", "1-5", "2-5", "3-5"]


@pytest.mark.parametrize("name", ["figure.pdf", "figure", "absent/figure.svg"])
def test_a_file_that_cannot_be_written_is_an_input_error(tmp_path, name):
    figure = drawing.draw_architecture(make_architecture())
    with pytest.raises(InputError, match=r"figure .*; .*\.$"):
        files.save_as(figure, tmp_path / name)

import itertools
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ifnas_jax.architecture import Architecture, KeptEdge, KeptStage, cost, from_kept
from ifnas_jax.errors import InputError
from ifnas_jax.methods import draws
from ifnas_jax.report import arcs, drawing, files
from ifnas_jax.spaces import darts, goldnas, interleaving, lchain

SEP, SKIP = "sep_conv_3x3", "skip_connect"


def make_architecture():
    space = lchain(3, (3, 1, 2))
    first, second, third = space.stages
    stages = (
        KeptStage(
            first,
            (
                KeptEdge(0, 1, (SEP, SKIP)),
                KeptEdge(0, 3, (SEP,)),
                KeptEdge(1, 3, (SEP, SKIP)),
            ),
        ),
        KeptStage(second, (KeptEdge(0, 1, (SKIP,)),)),
        KeptStage(
            third,
            (
                KeptEdge(0, 1, (SEP,)),
                KeptEdge(0, 2, (SKIP,)),
                KeptEdge(1, 2, (SEP,)),
            ),
        ),
    )
    return Architecture(space, stages, cost.Macro(8, 10, 28, 1, "small"))


SPACES = {"darts": darts(), "goldnas": goldnas(14)}


def make_cells(name, inputs):
    """A network of cells that keeps about so many inputs a node, or pre-1 alone."""
    space, rng = SPACES[name], np.random.default_rng(0)
    if inputs:
        kept = draws.inputs(space, rng, inputs, one_operator=False)
    else:
        kept = [stage & (np.arange(5) == 0)[:, None] for stage in space.full()]
    macro = cost.Macro(48, 1000, 224, 3, "imagenet", cells=14)
    return from_kept(space, kept, macro)


def draw_group(name, index=3):
    space = SPACES[name]
    groups = [interleaving.sampling_groups(stage, 4) for stage in space.stages]
    return drawing.draw_space(space, groups, index)


def sample_cubic(points):
    t = np.linspace(0, 1, 200)[:, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return sum(weight * point for weight, point in zip(weights, points, strict=True))


@pytest.mark.parametrize(
    ("architecture", "depth"),
    [
        (make_architecture(), "depth 5 (2 + 1 + 2)"),
        (make_cells("darts", 2), "depth "),
        (make_cells("goldnas", 0), "depth 56"),
    ],
    ids=["lchain", "darts", "goldnas"],
)
def test_every_kept_operator_is_drawn_once(tmp_path, architecture, depth):
    figure = drawing.draw_architecture(architecture, "a title")
    files.save_figure(figure, tmp_path / "figure")
    svg = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    drawn = sorted(re.findall(r'id="(stage\d+-[^"]*)"', svg))
    assert drawn == sorted(
        f"stage{index}-{edge.src}-{edge.dst}-{op}"
        for index, stage in enumerate(architecture.stages, start=1)
        for edge in stage.edges
        for op in edge.ops
    )
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert depth in figure.axes[0].texts[-1].get_text()


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("what", ["space", 0, 1, 5])
def test_texts_of_cells_lie_in_the_figure_and_apart(name, what):
    if what == "space":
        figure = draw_group(name)
    else:
        figure = drawing.draw_architecture(make_cells(name, what), "a title")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [*figure.axes[0].texts, *figure.legends[0].get_texts()]
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    # Heading, footing and six nodes a column, the title, and the legend.
    assert len(boxes) > 8 * len(SPACES[name].stages)
    whole = figure.bbox
    for box in boxes:
        assert whole.x0 < box.x0 < box.x1 < whole.x1
        assert whole.y0 < box.y0 < box.y1 < whole.y1
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_svg_is_the_same_bytes_each_time(tmp_path):
    for name in ("a", "b"):
        figure = drawing.draw_architecture(make_architecture())
        files.save_as(figure, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_no_arc_runs_through_a_node():
    space = lchain(8, (18, 20, 18))
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
    stage = lchain(4, (12, 12, 12)).stages[0]
    edges = interleaving.active_connections(stage, range(4, 13, 4))
    sides = arcs.choose_sides(edges)
    for (a, b), (c, d) in itertools.combinations(edges, 2):
        crosses = a < c < b < d or c < a < d < b
        assert not (crosses and sides[a, b] == sides[c, d])
    sides = arcs.choose_sides([(0, 2), (1, 3), (2, 4), (3, 4)])
    assert sides[0, 2] == -sides[1, 3] == sides[2, 4]
    assert sides[3, 4] == 0


def test_space_shows_the_group_and_what_was_added(tmp_path):
    space = lchain(4, (6, 6, 6))
    groups = [interleaving.sampling_groups(stage, 4) for stage in space.stages]
    added = [((1, 3),), (), ()]
    files.save_as(drawing.draw_space(space, groups, 1, added), tmp_path / "space.svg")
    svg = (tmp_path / "space.svg").read_text(encoding="utf-8")
    # Node 5 alone has inputs besides its direct one; node 1 has that one only.
    first = re.findall(r'id="stage1-(\d-\d)"', svg)
    assert sorted(first) == ["1-3", "1-5", "2-5", "3-5"]


@pytest.mark.parametrize("name", SPACES)
def test_a_cell_shows_the_candidates_of_its_node(name, tmp_path):
    files.save_as(draw_group(name, 2), tmp_path / "space.svg")
    svg = (tmp_path / "space.svg").read_text(encoding="utf-8")
    for index in range(1, len(SPACES[name].stages) + 1):
        own = re.findall(rf'id="stage{index}-(-?\d)-2"', svg)
        assert sorted(own) == ["-1", "0"]
    assert len(re.findall('id="stage', svg)) == 2 * len(SPACES[name].stages)


@pytest.mark.parametrize("name", ["lchain", "darts"])
def test_many_operators_of_a_direct_connection_reach_its_node(monkeypatch, name):
    operators = (SEP, SKIP, *(f"own:op_{letter}" for letter in "abc"))
    space = {"lchain": lchain(2, (2, 1, 1), operators), "darts": darts(2, 3, operators)}
    kept = space[name].full()
    monkeypatch.setattr(Architecture, "cost", lambda _: cost.Cost(1, 1))
    macro = cost.Macro(8, 10, 28, 1, "small", cells=14 if name == "darts" else 0)
    figure = drawing.draw_architecture(from_kept(space[name], kept, macro))
    (axes,) = figure.axes
    nodes = [patch for patch in axes.patches if hasattr(patch, "get_radius")]
    direct = re.compile(r"stage\d-(0-1|1-2)-")
    lines = [patch for patch in axes.patches if direct.match(patch.get_gid() or "")]
    assert len(lines) == sum(stage[:, 0].sum() for stage in kept) >= 20
    for line in lines:
        x, y = line.get_path().vertices[-1]
        distances = [np.hypot(x - n.center[0], y - n.center[1]) for n in nodes]
        assert min(distances) == pytest.approx(nodes[0].get_radius())


@pytest.mark.parametrize("name", ["figure.pdf", "figure"])
def test_a_figure_of_another_kind_is_an_input_error(tmp_path, name):
    figure = drawing.draw_architecture(make_architecture())
    with pytest.raises(InputError, match=r"figure .*; .*\.$"):
        files.save_as(figure, tmp_path / name)

"""A table of every network of a small chain."""

import io
import itertools
import re

import numpy as np
import pytest

from benchmarks import tabular as maker
from ifnas_jax import InputError, tabular
from ifnas_jax.architecture import from_kept
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.spaces.lchain import lchain

MACRO = Macro(4, 10, 12, 1, "small")
SEEDS, EPOCHS = (0, 1), (1, 2)


@pytest.mark.parametrize(
    ("precursors", "nodes", "count"), [(1, 2, 9), (2, 3, 522), (3, 3, 2091)]
)
def test_every_distinct_network_is_there_once(precursors, nodes, count):
    found = list(tabular.networks(lchain(precursors, (1, nodes, 1)), MACRO, 1))
    assert len({key for key, _ in found}) == len(found) == count
    assert [key for key, _ in found] == sorted(key for key, _ in found)
    # A network's edges, with its nodes numbered anew, are another way to tell it.
    told = set()
    for _, network in found:
        (stage,) = network.stages[1:2]
        order = {node: index for index, node in enumerate((0, *stage.nodes()))}
        told.add(tuple((order[e.src], order[e.dst], e.ops) for e in stage.edges))
    assert len(told) == count


def test_what_is_unread_makes_no_other_network():
    """0 -> 1 -> 3 and 0 -> 2 -> 3 are a chain of two; a third node makes another."""
    space = lchain(2, (1, 3, 1))

    def key(*edges):
        kept = [stage & [True, False] for stage in space.full()]
        kept[1] = np.zeros_like(kept[1])
        for src, dst in edges:
            kept[1][dst - 1, dst - src - 1, 0] = True
        return tabular.key_of(from_kept(space, kept, MACRO).stages[1], space.operators)

    assert key((0, 1), (1, 3)) == key((0, 2), (2, 3)) == key((0, 1), (0, 2), (1, 3))
    assert key((0, 1), (1, 3)) != key((0, 1), (1, 2), (2, 3))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Of made-up accuracies, and the networks."""
    space = lchain(2, (1, 3, 1))
    found = list(tabular.networks(space, MACRO, 1))
    top1 = np.random.default_rng(0).random((len(found), len(SEEDS), len(EPOCHS)))
    facts = {"stage": 1, "nodes": 3, "num_precursors": 2}
    facts["operators"] = list(space.operators)
    paths = [tmp_path_factory.mktemp("table") / f"{n}.npz" for n in range(2)]
    for path in paths:
        tabular.save(path, facts, found, top1, SEEDS, EPOCHS)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    return tabular.load(paths[0]), found, np.round(top1, 4)


def table_file(folder, table):
    own, found, top1 = table
    tabular.save(folder / "again.npz", own.facts, found, top1, SEEDS, EPOCHS)
    return folder / "again.npz"


def test_a_query_has_what_was_trained(table):
    own, found, top1 = table
    for place in (0, 100, 521):
        key, network = found[place]
        row = own.query(network)
        assert row == own.query(key)
        assert (row.madds, row.params) == tuple(network.cost())
        assert row.depth == network.depth()
        assert row.top1 == pytest.approx(top1[place, :, -1].mean())
        row = own.query(network, epochs=1, seed=1)
        assert row.top1 == pytest.approx(top1[place, 1, 0])


def test_best_front_and_rank_are_those_of_all_rows(table):
    own, found, _ = table
    rows = own.rows()
    budget = sorted(row.madds for row in rows)[200]
    best = max((row for row in rows if row.madds <= budget), key=lambda row: row.top1)
    assert own.best(budget) == best
    beaten = {
        row.key
        for row, other in itertools.permutations(rows, 2)
        if other.madds <= row.madds
        and other.top1 >= row.top1
        and (other.madds, other.top1) != (row.madds, row.top1)
    }
    assert {row.key for row in own.front()} == {row.key for row in rows} - beaten
    ordered = sorted((row.top1 for row in rows), reverse=True)
    for _, network in found[::50]:
        row = own.query(network)
        assert ordered[own.rank(network) - 1] == row.top1
        within = [other.top1 for other in rows if other.madds <= budget]
        assert own.rank(network, budget) == sum(x > row.top1 for x in within) + 1


def test_what_a_table_does_not_have_is_refused(table, tmp_path):
    own, found, _ = table
    for arguments, words in (
        ({"network": 0}, "no network of key 0"),
        ({"network": found[0][0], "epochs": 3}, "epochs is 3; the table has"),
        ({"network": found[0][0], "seed": 9}, "seed is 9; the table has"),
    ):
        with pytest.raises(InputError, match=words):
            own.query(**arguments)
    with pytest.raises(InputError, match="madds is 1; the least network has"):
        own.best(1)
    bad = tmp_path / "bad.npz"
    with pytest.raises(InputError, match="cannot be read"):
        tabular.load(bad)
    whole = table_file(tmp_path, table).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for content in (b"", b"no table", whole[:200], bytes(flipped), array.getvalue()):
        bad.write_bytes(content)
        with pytest.raises(InputError, match="is damaged, or none"):
            tabular.load(bad)


def _number(words, what):
    return float(re.search(rf"of {what} ([\d.]+)", words)[1])


def test_noise_is_told_from_differences():
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal((400, 3))
    same = maker.describe(0.5 + noise)
    apart = maker.describe(0.5 + 0.05 * rng.standard_normal((400, 1)) + noise)
    assert _number(same, "networks") < 0.004
    assert _number(apart, "networks") == pytest.approx(0.05, abs=0.01)
    # A seed may be better for all.
    alike = maker.describe(0.5 + noise + [0, 0.1, 0.2])
    for words in (same, apart, alike):
        assert _number(words, "seeds") == pytest.approx(0.01, abs=0.001)


@pytest.mark.usefixtures("compiles_soon")
def test_a_table_is_made_goes_on_and_is_loaded(
    digits_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(maker, "TEST_EPOCHS", (1,))
    small = {"retrain.epochs": 1, "retrain.warmup_epochs": 0, "macro.width": 2}
    monkeypatch.setattr(maker, "RECIPE", {**maker.RECIPE, **small})
    monkeypatch.setattr(maker, "_CHUNK", 2)
    flags = ["--num-precursors=1", "--nodes=1", "--seeds=2", f"--data-dir={digits_dir}"]
    flags += [f"--workdir={tmp_path / 'kept'}", f"--out={tmp_path / 'table.npz'}"]
    assert maker.main([*flags, "--part=2/2"]) == 0
    assert not (tmp_path / "table.npz").exists()
    (kept,) = (tmp_path / "kept").iterdir()
    before = kept.stat().st_mtime_ns
    assert maker.main(flags) == 0
    assert kept.stat().st_mtime_ns == before
    made = tabular.load(tmp_path / "table.npz")
    assert (len(made.keys), made.seeds, made.epochs) == (3, (0, 1), (1,))
    assert all(0 < row.top1 < 1 for row in made.rows())
    assert "standard deviation of networks" in capsys.readouterr().out
    assert maker.main([*flags, "--part=3/2"]) == 2
    assert "--part is '3/2'" in capsys.readouterr().err

"""Search methods against a table of every network."""

import itertools

import numpy as np
import pytest

from ifnas_jax import InputError, files, tabular
from ifnas_jax import config as config_lib
from ifnas_jax.architecture import from_kept
from ifnas_jax.data.source import open_dataset
from ifnas_jax.searching.make import make_search
from ifnas_jax.testbed import __main__ as testbed
from ifnas_jax.testbed import drawn_regret, price, search_config, space_config

FACTS = {
    "stage": 1,
    "nodes": 2,
    "num_precursors": 2,
    "operators": ["sep_conv_3x3", "skip_connect"],
    "dataset": "mnist5k",
    "recipe": {
        "macro.width": 2,
        "dataset.image_size": 12,
        "retrain.batch_size": 50,
        "retrain.epochs": 2,
    },
}
# 60 steps of 16 digits.
QUICK = {
    "sampling.period": 1,
    "search.batch_size": 16,
    "search.weights_epochs": 0.2,
    "search.beta_epochs": 0.2,
    "search.alpha_epochs": 0.2,
    "search.max_epochs": 1.0,
}

# Compared with no other run.
pytestmark = pytest.mark.usefixtures("compiles_soon")


@pytest.fixture(scope="module")
def table_path(tmp_path_factory):
    """Of made-up accuracies."""
    config = space_config(FACTS)
    space, macro = config_lib.space(config), config_lib.macro(config)
    found = list(tabular.networks(space, macro, FACTS["stage"]))
    top1 = np.random.default_rng(0).random((len(found), 2, 1))
    path = tmp_path_factory.mktemp("table") / "made-up.npz"
    tabular.save(path, FACTS, found, top1, (0, 1), (2,))
    return path


@pytest.fixture(scope="module")
def table(table_path):
    return tabular.load(table_path)


def test_regret_is_the_distance_to_the_best_that_costs_no_more(table):
    rows = table.rows()
    for row in rows[::7]:
        best = max(other.top1 for other in rows if other.madds <= row.madds)
        assert table.regret(row.key) == pytest.approx(best - row.top1)
    assert table.regret(table.best(int(table.madds().max())).key) == 0


@pytest.mark.parametrize("trainings", [1, 2, 1000])
def test_random_search_finds_what_all_its_draws_find_on_average(table, trainings):
    budget = int(np.quantile(table.madds(), 0.3))
    rows = [row for row in table.rows() if row.madds <= budget]
    means = {row.key: row.top1 for row in rows}
    seen = [[table.query(row.key, seed=s).top1 for s in (0, 1)] for row in rows]
    keys, found = list(means), []
    assert len(keys) < 20
    if trainings < len(keys):
        for drawn in itertools.combinations(range(len(keys)), trainings):
            for seeds in itertools.product((0, 1), repeat=trainings):
                scores = [seen[n][s] for n, s in zip(drawn, seeds, strict=True)]
                found.append(means[keys[drawn[int(np.argmax(scores))]]])
    else:  # Each network, with either seed.
        rng = np.random.default_rng(1)
        for _ in range(20_000):
            seeds = rng.integers(0, 2, len(keys))
            scores = [own[s] for own, s in zip(seen, seeds, strict=True)]
            found.append(means[keys[int(np.argmax(scores))]])
    expected = max(means.values()) - np.mean(found)
    error = np.std(found) / 2000**0.5
    assert drawn_regret(table, trainings, budget) == pytest.approx(
        expected, abs=4 * error + 1e-9
    )


def test_what_the_table_decides_is_not_a_users(table):
    for field in ("space.nodes", "macro.width", "dataset.name"):
        with pytest.raises(InputError, match=f"{field} is what the table decides"):
            search_config(table, {field: 3})
    with pytest.raises(InputError, match="madds is 1; the least network"):
        search_config(table, madds=1)
    with pytest.raises(InputError, match="give --madds in its place"):
        search_config(table, {"target_madds": 60_000})
    assert search_config(table, {"lanes": "in_turn"}).lanes == "in_turn"
    with pytest.raises(InputError, match=r"how its networks were trained \('recipe'"):
        space_config({name: FACTS[name] for name in FACTS if name != "recipe"})
    assert search_config(table, {"search.batch_size": 7}).search.batch_size == 7


def test_methods_are_tried_and_what_is_done_is_kept(
    table_path, table, digits_dir, tmp_path, capsys
):
    flags = [f"--table={table_path}", f"--workdir={tmp_path}", "--seeds=2"]
    flags += [f"--data-dir={digits_dir}"]
    quick = [f"--config.{name}={value}" for name, value in QUICK.items()]

    def run(method, *more):
        own = [*flags, f"--config.method={method}", *more]
        assert testbed.main(own) == 0, capsys.readouterr().err
        (told,) = (tmp_path / "results").glob(f"testbed-{method}-*.json")
        return files.read_json(told)["trials"][method]

    trials = run("dnas", *quick)
    assert [own["seed"] for own in trials] == [0, 1]
    rows = table.rows()
    config = space_config(FACTS)
    space, macro = config_lib.space(config), config_lib.macro(config)
    whole = from_kept(space, space.full(), macro).cost().madds
    # 1,000 digits: two epochs of 20 batches of 50.
    trained = 40 * 50 * np.mean([row.madds for row in rows])
    for own in trials:
        row = table.query(own["key"])
        assert (own["madds"], own["top1"]) == (row.madds, row.top1)
        within = [other.top1 for other in rows if other.madds <= row.madds]
        assert own["within"] == len(within)
        assert own["rank"] == 1 + sum(top1 > row.top1 for top1 in within)
        assert own["regret"] == pytest.approx(max(within) - row.top1)
        target = np.median([other.madds for other in rows])
        allowed = [other.top1 for other in rows if other.madds <= target]
        assert own["at_target"] == pytest.approx(max(allowed) - row.top1)
        assert -1 <= own["tau"] <= 1
        # Without sampling each step is of the whole super-network.
        paid = own["steps"] * 16 * whole / trained
        assert own["trainings"] == pytest.approx(paid)
        assert own["drawn"] == drawn_regret(table, int(paid), row.madds)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("trial-*.json")}
    assert len(before) == 2
    assert run("dnas", *quick) == trials
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # One that only draws, and costs nothing.
    for own in run("random"):
        assert (own["tau"], own["steps"], own["trainings"]) == (None, 0, 0)
    (page,) = (tmp_path / "results").glob("testbed-random-*.md")
    assert "| random | 2 |" in page.read_text("utf-8")
    capsys.readouterr()
    folders = sorted(tmp_path.iterdir())
    # Between two costs, so that no draw comes near.
    below, above = max(itertools.pairwise(np.unique(table.madds())), key=np.ptp)
    unmet = f"--madds={(below + above) // 2}"
    for more, words in (
        (["--seeds=1"], "seeds is 1; give 2 or more"),
        # Before anything runs: DARTS has no gradual pruning.
        (["--config.derive=prune"], "derive is 'prune'"),
        (["--config.search.batch_size=400", "--config.method=dnas"], "fill"),
        (["--config.method=random", "--config.random.band=0.999", unmet], "drawn"),
    ):
        assert testbed.main([*flags, *more]) == 2
        assert words in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == folders  # All of it before anything ran.


@pytest.mark.parametrize(("method", "batches"), [("darts", 2), ("ifnas", 1)])
def test_a_search_is_priced_by_what_its_steps_activate(
    table, digits_dir, method, batches
):
    fields = {**QUICK, "method": method}
    config = search_config(table, fields, data_dir=str(digits_dir))
    dataset = open_dataset(config.dataset)
    job = make_search(config, dataset)
    space, macro = job.net.space, config_lib.search_macro(config)

    def madds(*nodes):
        """Of a stage whose nodes but these have their direct input only."""
        kept = [own.copy() for own in space.full()]
        for node in {1, 2} - {*nodes}:
            kept[FACTS["stage"]][node - 1, 1:] = False
        return from_kept(space, kept, macro).cost().madds

    steps, loop = job.schedule.total, [madds(1, 2)]
    if method == "ifnas":  # Of two groups, with one node each.
        loop += [madds(1), madds(2)]
    expected = 0
    for number in range(steps):
        times = batches if number >= job.schedule.beta else 1
        expected += times * 16 * loop[number % len(loop)]
    trained = 40 * 50 * np.mean([row.madds for row in table.rows()])
    found = price.trainings(table, job, dataset, steps)
    assert found == pytest.approx(expected / trained)

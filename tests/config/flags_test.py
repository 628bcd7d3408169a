import pytest
from documented import ROOT

from ifnas_jax.config.command_line import load_config
from ifnas_jax.errors import InputError

CONFIG = str(ROOT / "configs" / "lchain4.py")


def test_the_argument_names_file_and_data_set():
    assert load_config(CONFIG).dataset.name == "imagenet2012"
    assert load_config(f"{CONFIG}:mnist5k").dataset.name == "mnist5k"


def test_a_config_that_was_installed_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for argument in ("lchain6", "configs/lchain6.py"):
        assert load_config(argument).space.num_precursors == 6
    assert load_config("lchain6:mnist5k") == load_config("configs/lchain6.py:mnist5k")
    with pytest.raises(InputError, match=r"'lchain5' is no file; .* lchain4, lchain6"):
        load_config("lchain5:mnist5k")


@pytest.mark.parametrize(
    ("overrides", "field", "value"),
    [
        (["--config.search.batch_size=64"], "search.batch_size", 64),
        (["--config.search.batch_size", "64"], "search.batch_size", 64),
        (["--config.search.clip=1"], "search.clip", 1.0),
        (["--config.space.nodes=(6, 7, 8)"], "space.nodes", (6, 7, 8)),
        (["--config.jobs=('search',)"], "jobs", ("search",)),
        (["--config.jobs=search"], "jobs", ("search",)),
        (["--config.jobs=search,retrain"], "jobs", ("search", "retrain")),
        (["--config.jobs", "search, retrain"], "jobs", ("search", "retrain")),
        (["--config.dataset.classes=a 'b', c's"], "dataset.classes", ("a 'b'", "c's")),
        (["--config.dataset.classes=cat,5"], "dataset.classes", ("cat", "5")),
        (["--config.dataset.classes=3, 1e3"], "dataset.classes", ("3", "1e3")),
        (["--config.dataset.classes='3','5'"], "dataset.classes", ("3", "5")),
        (["--config.search.batch_size=1e3"], "search.batch_size", 1000),
        (["--config.search.batch_size=64.0"], "search.batch_size", 64),
        (["--config.target_madds", "6e8"], "target_madds", 600_000_000),
        (["--config.search.max_epochs=1e1"], "search.max_epochs", 10.0),
        (["--config.dataset.flip", "--config.seed=3"], "seed", 3),
        (["--noconfig.dataset.flip"], "dataset.flip", False),
        (["--config.dataset.flip=false"], "dataset.flip", False),
        (["--config.method=dnas", "--config.seed=3"], "seed", 3),
    ],
)
def test_overrides_set_fields_with_their_type(overrides, field, value):
    found = load_config(CONFIG, overrides)
    for name in field.split("."):
        found = found[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.batch=1", "no field 'batch'; choose from .*dataset, .*search"),
        ("--config.search.batch=1", "no field 'search.batch'; .*search.batch_size"),
        ("--noconfig.dataset.mirror", "no field 'dataset.mirror'; .*dataset.flip"),
        ("--config.seed.x=1", "no field 'seed.x'; 'seed' is a value"),
        (
            "--config.search.batch_size=1.5",
            "search.batch_size is '1.5'; .* whole number",
        ),
        ("--config.seed=abc", "seed is 'abc'; .* whole number"),
        ("--config.target_madds=600M", "'600M'; set it to a whole number, as 600"),
        ("--config.search.batch_size=1e400", "whole number"),
        ("--config.search.max_epochs=1h", "max_epochs is '1h'; set it to a number"),
        ("--config.space.nodes=(2,3", "space.nodes is '.2,3', which is no list"),
        ("--config.dataset.flip=maybe", "flip is 'maybe'; set it to true or false"),
        ("--config.seed", "Missing value for flag --config.seed"),
        ("--config.space=3", "config.space is no field, but holds space.name, "),
        ("--config.space={}", "config.space is no field"),
        ("--learning_rate=1", "learning_rate"),
        ("batch_size=3", "unknown arguments: batch_size=3"),
    ],
)
def test_what_is_no_field_or_value_is_refused_by_name(override, message):
    with pytest.raises(InputError, match=message) as caught:
        load_config(CONFIG, [override])
    assert "\n" not in str(caught.value)


def test_overrides_do_not_leak_into_the_next_config():
    load_config(CONFIG, ["--config.seed=7", "--config.search.batch_size=1"])
    assert load_config(CONFIG).seed == 0
    assert load_config(CONFIG).search.batch_size == 256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no file; name one such as"),
        ("", "get_config"),
        ("def get_config(: pass", "is not Python"),
        ("get_config = lambda: None", "mnist5k"),
    ],
)
def test_a_file_that_is_no_config_is_refused(content, message, tmp_path):
    path = tmp_path / "mine.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        load_config(f"{path}:mnist5k")


def test_a_folder_or_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no file"):
        load_config(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no Python file"):
        load_config(str(tmp_path / "config.json"))


def test_bad_input_in_a_config_file_keeps_its_sentence(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from ifnas_jax.errors import InputError\n"
        "def get_config():\n    raise InputError('seed is bad; mend it.')\n"
    )
    with pytest.raises(InputError, match=r"^seed is bad; mend it\.$"):
        load_config(str(path))

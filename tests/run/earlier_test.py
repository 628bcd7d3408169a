"""Runs of earlier versions, whose config.json lacks fields that came later."""

import pytest
from networks import random_architecture

from ifnas_jax import config as config_lib
from ifnas_jax import files
from ifnas_jax.config.command_line import load_config
from ifnas_jax.errors import InputError
from ifnas_jax.retraining.trained import load_found
from ifnas_jax.run import begin
from ifnas_jax.run.workdir import Workdir


@pytest.fixture
def old_run(tmp_path):
    """A function: a workdir whose run lacked later fields, and today's config."""

    def old_run(method):
        config = load_config("lchain4:mnist5k", [f"--config.method={method}"])
        config.dataset.contents, config.dataset.test_split = "c", "test"
        (tmp_path / "config.json").write_text(config_lib.to_json(config))
        fields = files.read_json(tmp_path / "config.json")
        del fields["search"]["most_removed"], fields["retrain"]["weights"]
        del fields["relaxation"]["backbone"]
        files.write_json(tmp_path / "config.json", fields)
        return Workdir(tmp_path), config

    return old_run


@pytest.mark.parametrize("method", ["goldnas", "ifnas"])
def test_it_is_told_of_a_field_where_it_counts(method, old_run):
    """What it was can be given; where the field is not read, it is not asked for."""
    workdir, config = old_run(method)
    if method == "ifnas":
        words = r"search.most_removed \(stored 1.0, now 0.15\)"
        with pytest.raises(InputError, match=words):
            begin.check_seed(config, workdir)
        config.search.most_removed = 1.0
        words = r"relaxation.backbone \(stored 'constant', now 'gates'\)"
        with pytest.raises(InputError, match=words):
            begin.check_seed(config, workdir)
        config.relaxation.backbone = "constant"
    assert begin.check_seed(config, workdir) is not None


@pytest.mark.parametrize("method", ["dnas", "goldnas", "ifnas"])
def test_all_commands_read_its_config_alike(method, old_run, tmp_path):
    """So that what begins with its config, such as `front`, can go on with it."""
    workdir, config = old_run(method)
    (tmp_path / "search").mkdir()
    found = random_architecture(0, config_lib.macro(config))
    found.save(workdir.search.architecture)
    read, stored = load_found(tmp_path).config, begin.stored_config(workdir)
    if method == "goldnas":  # It reads none of them.
        assert "most_removed" not in stored["search"]
        assert "backbone" not in stored["relaxation"]
    # What a file of one's own sets is for any method: it is not told of either.
    config.relaxation.backbone = read.relaxation.backbone
    config.search.most_removed = read.search.most_removed
    assert begin.check_seed(config, workdir) is not None

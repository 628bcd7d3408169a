"""A method of one's own: what it says of itself is checked before it is built."""

import sys
import types

import pytest

from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import check_overrides, validate
from ifnas_jax.errors import InputError
from ifnas_jax.methods import METHODS, Traits, readers, traits

CONFIG = "configs/lchain4.py:mnist5k"


@pytest.fixture
def own(monkeypatch):
    """A function: the name of a method with traits, in a module that can be found."""

    def own(given, name="mine"):
        def method(config, space, macro):
            raise AssertionError("it was built")

        if given is not None:
            method.traits = given
        module = types.ModuleType("own_methods")
        setattr(module, name, method)
        monkeypatch.setitem(sys.modules, "own_methods", module)
        return f"own_methods:{name}"

    return own


def test_its_fields_are_a_group_of_the_config(own):
    name = own(Traits(("target",), ("bilevel",), fields={"weight": 1.0, "steps": 3}))
    method, given = f"--config.method={name}", load_config(CONFIG)
    config = load_config(CONFIG, [method, "--config.mine.weight=0.25"])
    assert config.mine.to_dict() == {"weight": 0.25, "steps": 3}
    validate(config)
    check_overrides(config, given)
    # The other way to write a flag.
    both = ["--config.method", name, "--config.mine.steps", "1e1"]
    assert load_config(CONFIG, both).mine.steps == 10
    with pytest.raises(InputError, match=r"no field 'mine.width'; choose from mine"):
        load_config(CONFIG, [method, "--config.mine.width=2"])
    # Without the method there is no such group.
    with pytest.raises(InputError, match=r"no field 'mine.weight'"):
        load_config(CONFIG, ["--config.mine.weight=0.25"])
    assert readers("mine.weight", name) == (name,)
    assert readers("bilevel.b1", name) == ("darts", "pcdarts", "fairdarts", name)
    unread = load_config(CONFIG, [method, "--config.penalty.delta=0.25"])
    with pytest.raises(InputError, match=f"method '{name}' does not read it"):
        check_overrides(unread, given)


def test_it_samples_if_it_says_so(own):
    name = own(Traits(("prune",), samples=True))
    flags = [f"--config.method={name}", "--config.sampling.groups=random"]
    validate(load_config(CONFIG, flags))
    given = load_config(CONFIG)
    backbone = load_config(CONFIG, [flags[0], "--config.relaxation.backbone=constant"])
    check_overrides(backbone, given)
    assert own(Traits(("prune",))) == name
    with pytest.raises(InputError, match=f"method '{name}' does not read it"):
        check_overrides(backbone, given)
    with pytest.raises(InputError, match="does not sample"):
        validate(load_config(CONFIG, flags))


@pytest.mark.parametrize(
    ("given", "flags", "message"),
    [
        (None, [], "does not say what it is; give its function the attribute `traits`"),
        (Traits(()), [], "does not say what it is"),
        ({"derivations": ("target",)}, [], "does not say what it is"),
        (Traits(("prune",)), ["--config.derive=keep1"], r"one of \['prune'\]"),
        (Traits(("aim",)), [], "does not say what it is"),
    ],
)
def test_what_does_not_say_what_it_is(own, given, flags, message):
    name = f"--config.method={own(given)}"
    with pytest.raises(InputError, match=message):
        validate(load_config(CONFIG, [name, *flags]))


def test_names(own):
    with pytest.raises(InputError, match="the config has 'search' already"):
        name = own(Traits(("target",), fields={"a": 1}), name="search")
        load_config(CONFIG, [f"--config.method={name}"])
    with pytest.raises(InputError, match="has no function 'missing'"):
        load_config(CONFIG, ["--config.method=own_methods:missing"])
    with pytest.raises(InputError, match="method 'no_such:a': module 'no_such' can't"):
        traits("no_such:a")
    with pytest.raises(InputError, match="name one of your own as 'module:function'"):
        validate(load_config(CONFIG, ["--config.method=sparse"]))
    assert set(METHODS) > {"ifnas", "random"}

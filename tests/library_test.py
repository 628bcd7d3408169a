"""What `import ifnas_jax` gives, and what it loads."""

import subprocess
import sys

import pytest

import ifnas_jax


def test_importing_loads_nothing_and_pricing_no_jax():
    program = (
        "import sys; before = set(sys.modules); import ifnas_jax;"
        "new = {name.split('.')[0] for name in sys.modules.keys() - before};"
        "assert not new & {'numpy', 'jax', 'tensorflow'}, new;"
        "ifnas_jax.load_architecture; ifnas_jax.Architecture; ifnas_jax.load_trained;"
        "assert not {'jax', 'flax', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_every_public_name_is_there_and_no_other():
    for name in ifnas_jax.__all__:
        assert getattr(ifnas_jax, name).__doc__
    assert set(ifnas_jax.__all__) < set(dir(ifnas_jax))
    with pytest.raises(AttributeError, match="no attribute 'Netwrok'"):
        _ = ifnas_jax.Netwrok

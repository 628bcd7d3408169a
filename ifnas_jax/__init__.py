"""IF-NAS: interleaving-free neural architecture search in JAX and Flax.

What others build on is here, imported when it is asked for, so that `import ifnas_jax`
loads nothing; `docs/export.md` shows its use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ifnas_jax.architecture import Architecture
    from ifnas_jax.architecture import load as load_architecture
    from ifnas_jax.errors import InputError
    from ifnas_jax.library import load_config, retrain, search
    from ifnas_jax.nn.network import Network
    from ifnas_jax.report.loaded import load_run
    from ifnas_jax.retraining.networks import train_networks
    from ifnas_jax.retraining.predictions import predict
    from ifnas_jax.retraining.trained import load_trained

__all__ = [
    "Architecture",
    "InputError",
    "Network",
    "load_architecture",
    "load_config",
    "load_run",
    "load_trained",
    "predict",
    "retrain",
    "search",
    "train_networks",
]

# The module that has each name, and what it is called there.
_PLACES = {
    "Architecture": ("architecture", "Architecture"),
    "InputError": ("errors", "InputError"),
    "Network": ("nn.network", "Network"),
    "load_architecture": ("architecture", "load"),
    "load_config": ("library", "load_config"),
    "load_run": ("report.loaded", "load_run"),
    "load_trained": ("retraining.trained", "load_trained"),
    "predict": ("retraining.predictions", "predict"),
    "retrain": ("library", "retrain"),
    "search": ("library", "search"),
    "train_networks": ("retraining.networks", "train_networks"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Writes the network of a finished run as StableHLO, PyTorch or ONNX.

    python -m ifnas_jax.export --workdir=runs/first --out=exported
    python -m ifnas_jax.export --workdir=runs/first --out=exported --weights=none

With --weights=none, the architecture alone, to be trained elsewhere: also of a run that
has only searched. The folder --out says what is in it; none of it needs this package.
ONNX needs `pip install -e '.[onnx]'`.
"""

import argparse
import contextlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence

from ifnas_jax import command, files, storage
from ifnas_jax.command import make_parser
from ifnas_jax.errors import InputError
from ifnas_jax.formats import notes, torch_source
from ifnas_jax.retraining.trained import Found, Trained, load_found, load_trained
from ifnas_jax.runtime import tpu

FORMATS = ("stablehlo", "torch", "onnx")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    arguments = _parser().parse_args(argv)
    weights = arguments.weights != "none"
    tpu.keep_quiet()
    try:
        formats = _formats(arguments.format, weights)
        spare = arguments.format is None
        export(arguments.workdir, arguments.out, formats, weights, spare)
    except command.ERRORS as error:
        return command.failed("export", error, arguments.out)
    print(f"{arguments.out} holds the network; its README.md says how to use it.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("ifnas_jax.export", __doc__)
    parser.add_argument("--workdir", required=True, metavar="DIR", help="of the run")
    parser.add_argument("--out", required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--weights",
        choices=("trained", "none"),
        default="trained",
        help="none: the architecture, and PyTorch code for it",
    )
    parser.add_argument(
        "--format",
        metavar="NAME,NAME",
        help=f"of {', '.join(FORMATS)} (default: stablehlo,torch, or without weights "
        "torch)",
    )
    return parser


def _formats(given: str | None, weights: bool) -> tuple[str, ...]:
    """The formats that are asked for.

    Raises:
      InputError: one is unknown, holds weights where there are none, or lacks packages.
    """
    if given is None:
        return ("stablehlo", "torch") if weights else ("torch",)
    formats = tuple(given.split(","))
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"--format is {given!r}; choose from {list(FORMATS)}.")
        if name != "torch" and not weights:
            raise InputError(
                f"--format is {given!r}, but {name} holds the weights, and --weights "
                "is none; set --format=torch, or leave --weights out."
            )
    needed = ("torch", "onnx", "onnxscript")
    if "onnx" in formats and not all(map(importlib.util.find_spec, needed)):
        raise InputError(
            f"--format is {given!r}, but onnx needs the packages {', '.join(needed)}; "
            "run pip install -e '.[onnx]', or leave it out."
        )
    return formats


def export(
    workdir: str,
    out: str,
    formats: Sequence[str],
    weights: bool = True,
    spare: bool = False,
) -> None:
    """Writes a folder with the network of a run, whole or not at all.

    Args:
      workdir: of the run, which is done, or without weights has searched.
      out: a new folder.
      formats: of `FORMATS`.
      weights: whether they are exported; else "torch" is the only format, which is
        left out if an operator has no counterpart in it.
      spare: whether it is left out then in any case, since nobody asked for it.

    Raises:
      InputError: the run is not done or damaged, an operator has no counterpart in a
        format, or the folder exists or can't be written.
    """
    workdir = storage.named("--workdir", workdir, checkpoints=weights)
    out = storage.reached("--out", out)
    found = load_found(workdir)
    if os.path.lexists(out) or storage.exists(out):
        raise InputError(f"--out {out!r} exists; name a new folder.")
    missing = torch_source.without_counterpart(found.architecture)
    if missing and (spare or not weights):
        print(f"No network.py: PyTorch has no counterpart of {missing[0]!r}.")
        formats = [name for name in formats if name != "torch"]
    # First, since it refuses what PyTorch has no counterpart of. ONNX is made from it.
    source = _torch_source(found) if {"torch", "onnx"} & set(formats) else ""
    trained = load_trained(workdir) if weights else None
    contents = {"network.py": source} if "torch" in formats else {}
    if trained:
        contents |= _trained_contents(found, trained, formats, source)
    contents |= _notes(found, trained.top1 if trained else None, contents)
    with _new_folder(out) as folder:
        # In a bucket one by one: last what says that all is there.
        for name, content in contents.items():
            content = content.encode() if isinstance(content, str) else content
            storage.write_bytes(os.path.join(folder, name), content)


def _torch_source(found: Found) -> str:
    config, architecture = found
    return torch_source.network_source(
        architecture,
        f"{notes.summary(config, architecture)}.",
        *notes.normalisation(config.dataset),
        auxiliary=config.retrain.auxiliary_weight > 0,
    )


def _trained_contents(
    found: Found, trained: Trained, formats: Sequence[str], source: str
) -> dict[str, str | bytes]:
    """Files that hold the weights, or load them."""
    contents, data = {}, found.config.dataset
    if "stablehlo" in formats:
        from ifnas_jax.formats import stablehlo

        contents["network.jax_export"] = stablehlo.serialized(
            trained.network, trained.variables, *notes.normalisation(data)
        )
        contents["load_stablehlo.py"] = notes.loading_example(data)
    state = torch_source.state_dict(trained.variables)
    if "torch" in formats:
        from safetensors.numpy import save

        contents["weights.safetensors"] = save(state)
    if "onnx" in formats:
        from ifnas_jax.formats import onnx_model

        contents["network.onnx"] = onnx_model.serialized(
            source, state, notes.metadata(found.config, found.architecture)
        )
    return contents


def _notes(found: Found, top1: float | None, names: Iterable[str]) -> dict[str, str]:
    """Files about the network, whose other files have these names."""
    contents = {
        "architecture.json": files.to_json(found.architecture.to_json()),
        "meta.json": files.to_json(notes.meta(*found, top1)),
    }
    readme = notes.readme(*found, top1, [*names, *contents])
    return {**contents, "README.md": readme}


@contextlib.contextmanager
def _new_folder(path: str) -> Iterator[str]:
    """A folder to write to, which becomes `path` when all is written.

    In a bucket, which renames no folders, it is `path` itself.

    Raises:
      InputError: it can't be written.
    """
    parent, name = os.path.split(storage.absolute(path))
    try:
        if storage.in_bucket(path):
            yield path
            return
        storage.make_folder(parent)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=parent) as temporary:
            # Not the temporary folder itself, which only its owner may read.
            folder = os.path.join(temporary, name)
            os.mkdir(folder)
            yield folder
            os.replace(folder, path)
    except OSError as error:
        raise InputError(
            f"--out {path!r} cannot be written ({error.strerror or error}); mend that, "
            "or name another folder."
        ) from error


if __name__ == "__main__":
    sys.exit(command.run("export", main, answers=False))

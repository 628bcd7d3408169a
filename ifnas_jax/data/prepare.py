"""Prepares a data set, once, on a machine of your choice.

    python -m ifnas_jax.data.prepare --dataset=imagenet2012 --data_dir=DIR

A run of one process prepares what is missing itself; this does it beforehand, where
the network or the disk is, and for several.
"""

import sys
from collections.abc import Sequence

from ifnas_jax import command
from ifnas_jax.command import make_parser
from ifnas_jax.data.builder import IMAGENET100, prepared_builder
from ifnas_jax.data.classes import split_labels
from ifnas_jax.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line: 0, or 2 after bad input."""
    parser = make_parser("ifnas_jax.data.prepare", __doc__)
    parser.add_argument("--dataset", required=True, help="its TFDS name")
    parser.add_argument(
        "--data_dir", default="", help="TFDS' folder of data sets, or of images"
    )
    arguments = parser.parse_args(argv)
    subset = arguments.dataset == IMAGENET100
    try:
        builder = prepared_builder(arguments.dataset, arguments.data_dir)
    except InputError as error:
        print(f"ifnas_jax: {error}", file=sys.stderr)
        return 2
    for split in builder.info.splits if subset else ():
        split_labels(builder, split)
    splits = builder.info.splits.items()
    counts = (f"{split} {info.num_examples:,}" for split, info in splits)
    print(f"{builder.info.full_name} is in {builder.data_path}: {', '.join(counts)}.")
    return 0


if __name__ == "__main__":
    sys.exit(command.run("ifnas_jax", main, answers=False))

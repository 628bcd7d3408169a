"""Writes a run's figures and its page, from the files in its workdir.

    python -m ifnas_jax.report --workdir=runs/first

A run does this itself, and at its end; this is for runs that were stopped, and for
pages to be made again.
"""

import sys
from collections.abc import Sequence

from ifnas_jax import command, storage
from ifnas_jax.command import make_parser
from ifnas_jax.report.write import write_report


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = make_parser("ifnas_jax.report", __doc__)
    parser.add_argument(
        "--workdir", required=True, metavar="DIR", help="of a run, finished or not"
    )
    arguments = parser.parse_args(argv)
    try:
        page = write_report(storage.reached("--workdir", arguments.workdir))
    except command.ERRORS as error:
        return command.failed("report", error, arguments.workdir)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(command.run("report", main))

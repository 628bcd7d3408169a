"""The command line of a process of a run, refused several times: CASE... FLAGS.

Starting processes that share a run takes long, and each start connects them once. A
case has the flags of its run, as JSON; in the midst of the last one are the others.
"""

import json
import sys

from ifnas_jax import main
from ifnas_jax.config.command_line import load_config
from ifnas_jax.errors import InputError
from ifnas_jax.runtime import distributed


def refuse_all(argv):
    """Prints why each case is refused; the exit code is that of the last."""
    cases = [json.loads(word) for word in argv if word.startswith("[")]
    flags = [word for word in argv if not word.startswith("[")]
    run = main.run

    def run_all(config, workdir, cluster, architecture):
        for path, _, *overrides in cases[:-1]:
            other = load_config(path.removeprefix("--config="), overrides)
            try:
                run(other, workdir, cluster)
            except InputError as error:
                print(error, flush=True)
            else:
                raise AssertionError("it was not refused")
            distributed.start = lambda cluster: None  # They are connected.
        run(config, workdir, cluster)

    main.run = run_all
    return main.main([*cases[-1], *flags])


if __name__ == "__main__":
    sys.exit(refuse_all(sys.argv[1:]))

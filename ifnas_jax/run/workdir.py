"""Every path of a run, joined here and nowhere else."""

import os


class JobFiles:
    """The files of one job, `search` or `retrain`, in its folder of the workdir."""

    def __init__(self, directory: str):
        """Makes nothing."""
        self.directory = directory
        self.metrics = os.path.join(directory, "metrics.jsonl")
        self.summary = os.path.join(directory, "summary.json")
        self.checkpoints = os.path.join(directory, "checkpoints")
        # Of a search only.
        self.failed = os.path.join(directory, "failed.json")
        self.architecture = os.path.join(directory, "architecture.json")
        self.gates = os.path.join(directory, "gates.jsonl")
        self.prunings = os.path.join(directory, "prunings.jsonl")
        self.candidates = os.path.join(directory, "candidates.jsonl")


class Workdir:
    """The folder of a run, and what is in it; README.md lists the files."""

    def __init__(self, path: str | os.PathLike):
        """Makes nothing.

        Args:
          path: of the folder; also that of a bucket, as `storage.named` returns it.
        """
        self.path = os.fspath(path)
        self.config = os.path.join(self.path, "config.json")
        self.result = os.path.join(self.path, "result.json")
        # Of many seeds' runs only, in place of the result.
        self.summary = os.path.join(self.path, "summary.json")
        self.lock = os.path.join(self.path, "run.lock")
        self.compiled = os.path.join(self.path, "compiled")
        self.report = os.path.join(self.path, "report")
        self.page = os.path.join(self.report, "index.html")
        self.front = os.path.join(self.path, "front")
        self.search = JobFiles(os.path.join(self.path, "search"))
        self.retrain = JobFiles(os.path.join(self.path, "retrain"))

    def of_seed(self, seed: int) -> "Workdir":
        """The workdir of a seed's run, where there are many."""
        return Workdir(os.path.join(self.path, f"seed-{seed}"))

    def trial(self, table: str) -> str:
        """What a table of trained networks, by its checksum, says of what was found."""
        return os.path.join(self.path, f"trial-{table[:16]}.json")

    def of_budget(self, madds: int) -> "Workdir":
        """The workdir of a network that the search passed through."""
        name = f"{madds / 1e6:.6f}".rstrip("0").rstrip(".")
        return Workdir(os.path.join(self.front, f"{name}M"))

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        """As messages name it."""
        return repr(self.path)

"""What tests of pages share: workdirs of runs that are not done, and a reader."""

import html.parser
import json
import shutil

from ifnas_jax import files

# Elements without an end.
VOID = {"meta", "link"}


class Reader(html.parser.HTMLParser):
    """Reads a page; fails where elements are not closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.ids, self.urls, self.metas, self.texts = [], [], [], {}, []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "meta" and "http-equiv" in attrs:
            self.metas[attrs["http-equiv"]] = attrs["content"]
        if "id" in attrs:
            self.ids.append(attrs["id"])
        self.urls += [attrs[x] for x in ("src", "href", "xlink:href") if x in attrs]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def interrupted(finished, workdir):
    """A copy of a run as it was when half of its prunings were made; returns the step.

    Rows after that are gone, and in each log one is being written.
    """
    shutil.copytree(finished, workdir, ignore=shutil.ignore_patterns("checkpoints"))
    for name in ("retrain", "report"):
        shutil.rmtree(workdir / name)
    for name in ("result.json", "search/architecture.json", "search/summary.json"):
        (workdir / name).unlink()
    logs = [workdir / "search" / f"{x}.jsonl" for x in ("gates", "metrics", "prunings")]
    steps = sorted({row["step"] for row in files.read_rows(logs[-1])})
    last = steps[(len(steps) - 1) // 2]
    assert last < steps[-1]
    for path in logs:
        kept = [row for row in files.read_rows(path) if row["step"] <= last]
        path.write_text("".join(json.dumps(x) + "\n" for x in kept) + '{"step": 10')
    return last


def change(workdir, file, **fields):
    """Sets fields of a JSON file."""
    path = workdir / file
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))

"""Workdirs of a run that is over: a damaged `config.json` or `result.json`.

A case is a config and the bytes of the two files, or None where one is missing. The
run is refused, says that it is done and shows what the file holds, or goes on, each
where that is right by what is checked here.
"""

import contextlib
import copy
import functools
import io
import json
import os
import tempfile
from unittest import mock

from hypothesis import strategies as st

from benchmarks.fuzz.configs import ROOT, flat
from benchmarks.fuzz.faults import faulty, faulty_bytes, parse, same
from benchmarks.fuzz.harness import check_sentence
from ifnas_jax import config as config_lib
from ifnas_jax import main
from ifnas_jax.config.command_line import load_config
from ifnas_jax.data import source
from ifnas_jax.errors import InputError

# The second's number of classes is known to its data set alone, and so is in the file.
CONFIGS = tuple(f"{ROOT / 'lchain4.py'}:{name}" for name in ("mnist5k", "svhn_cropped"))
RESULT = {
    **{"method": "ifnas", "space": "lchain", "num_precursors": 4, "seed": 0},
    **{"dataset": "mnist5k", "top1": 0.98, "top5": 1.0, "params": 111_662},
    **{"madds": 13_064_656, "target_madds": 13_500_000, "depth": 18},
    **{"search_seconds": 1.5, "retrain_seconds": None, "compile_seconds": 2.0},
    **{"target_met_by": "pruning", "versions": {}, "devices": {"count": 1}},
}
# What may differ: to retrain later, where the data is, or to skip what stopped the run.
_FREE = ("jobs", "dataset.data_dir", "dataset.on_unreadable")
_NUMBER, _NONE = (int, float), (type(None),)
_SHOWN = {
    **{"top1": (*_NUMBER, *_NONE), "top5": (*_NUMBER, *_NONE)},
    **{"madds": (int,), "params": (int,), "depth": (int,), "target_madds": (int,)},
    "target_met_by": (str, *_NONE),
}


class _GoesOn(Exception):  # noqa: N818
    """The run came to where it opens the data."""


def _stored(argument: str) -> dict:
    """The object of the `config.json` of a run."""
    return json.loads(_stored_text(argument))


@functools.cache
def _stored_text(argument: str) -> str:
    config = load_config(argument)
    config_lib.resolve(config, None)
    config.dataset.num_classes, config.dtype = 10, "float32"
    config.dataset.contents = "mnist5k/1.0.0: test 1000, train 4000, files 1a2b3c4d"
    return config_lib.to_json(config)


@st.composite
def _file(draw, data: dict):
    """Its bytes, half of them with a fault; None if it is missing."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        data = draw(faulty(data))
    content = json.dumps(data).encode()
    if draw(st.integers(0, 5)) == 0:
        return draw(st.none() | faulty_bytes(content))
    return content


@st.composite
def _cases(draw):
    argument = draw(st.sampled_from(CONFIGS))
    stored = _stored(argument)
    if draw(st.booleans()):
        stored["jobs"] = ["search"]
    result = copy.deepcopy(RESULT)
    if draw(st.booleans()):
        result["top1"] = result["top5"] = None
    return argument, draw(_file(stored)), draw(_file(result))


def _pinned(config=None, result=None, argument=CONFIGS[0]):
    """A case whose files are right but for some keys."""
    stored = _stored(argument)
    stored["dataset"] |= (config or {}).pop("dataset", {})
    files = stored | (config or {}), RESULT | (result or {})
    return argument, *(json.dumps(data).encode() for data in files)


CASES = _cases()
# Each left a traceback, or was said to be done though that is not known.
PINNED = [
    _pinned(result={"top1": "x"}),
    _pinned(result={"madds": None}),
    _pinned(result={"target_madds": "13"}),
    (*_pinned()[:2], b"{}"),
    (*_pinned()[:2], b"[]"),
    (*_pinned()[:2], b'{"top1": 0.9'),
    (*_pinned()[:2], b"\xff\xfe"),
    (CONFIGS[0], None, _pinned()[2]),
    _pinned({"dtype": ["float32"]}),
    _pinned({"dtype": "float99"}),
    _pinned({"dataset": {"num_classes": "ten"}}, argument=CONFIGS[1]),
    _pinned({"dataset": {"on_unreadable": "skip"}}),
    _pinned({"two\nlines": 1}),
    _pinned({"dataset": {"contents": 7}}),
]


def check(case) -> bool:
    """Whether a workdir is taken; asserts that this is right, and what is shown."""
    argument, *contents = case
    config, shown = load_config(argument), io.StringIO()
    names = "config.json", "result.json"
    with tempfile.TemporaryDirectory() as folder:
        for file_name, content in zip(names, contents, strict=True):
            if content is not None:
                with open(os.path.join(folder, file_name), "wb") as file:
                    file.write(content)
        try:
            with (
                mock.patch.object(source, "open_dataset", side_effect=_GoesOn),
                contextlib.redirect_stdout(shown),
            ):
                main.show(config, folder, main.run(config, folder))
            outcome = "done"
        except _GoesOn:
            outcome = "goes on"
        except InputError as error:
            check_sentence(error, [folder, *names])
            outcome = "refused"
    assert outcome == _expected(argument, *contents), (outcome, case)
    if outcome == "done":
        assert f"{parse(contents[1])['madds'] / 1e6:.2f}M" in shown.getvalue()
    return outcome != "refused"


def _expected(argument: str, stored: bytes | None, result: bytes | None) -> str:
    """What a run has to do."""
    if stored is not None and not _same_config(argument, _parsed(stored)):
        return "refused"
    # A result without its config may be of any.
    if stored is None and result is not None:
        return "refused"
    if result is None:
        return "goes on"
    data = _parsed(result)
    if not isinstance(data, dict) or not all(
        key in data and type(data[key]) in kinds for key, kinds in _SHOWN.items()
    ):
        return "refused"
    return "goes on" if data["top1"] is None else "done"


def _parsed(content: bytes):
    try:
        return parse(content)
    except (ValueError, RecursionError):
        return None


def _same_config(argument: str, stored) -> bool:
    """Whether a file's fields are those of a run of a config."""
    ours = _stored(argument)
    if not isinstance(stored, dict) or not isinstance(stored.get("dataset"), dict):
        return False
    classes, dtype = stored["dataset"].get("num_classes"), stored.get("dtype")
    if type(classes) is not int or classes < 1 or dtype not in ("float32", "bfloat16"):
        return False
    contents = stored["dataset"].get("contents")
    if type(contents) is not str:
        return False
    ours["dtype"] = dtype
    ours["dataset"]["contents"] = contents
    if argument == CONFIGS[1]:
        ours["dataset"]["num_classes"] = classes
    theirs, ours = flat(stored), flat(ours)
    fields = (ours.keys() | theirs.keys()) - set(_FREE)
    return all(
        field in ours and field in theirs and same(ours[field], theirs[field])
        for field in fields
    )

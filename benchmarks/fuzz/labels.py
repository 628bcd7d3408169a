"""Data sets in memory, some of whose examples have no label, or a wrong one."""

import contextlib
import io
import types

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from benchmarks.fuzz.harness import check_sentence
from ifnas_jax.data import parts
from ifnas_jax.data.builder import open_records
from ifnas_jax.data.examples import Examples
from ifnas_jax.errors import InputError

_SPLITS = ["train", "test", "validation", "val", "extra"]


def _image() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


_IMAGE = _image()


@st.composite
def _cases(draw):
    """Labels of each part, how many classes there are, and the part to test on."""
    classes = draw(st.integers(1, 4))
    known, wrong = st.integers(0, classes - 1), st.sampled_from([-1, classes, 255])
    sizes, labels = st.sampled_from([1, 2, 5, 5, 5, 300, 1000, 0]), {}
    needed = draw(st.sampled_from([_SPLITS[:2]] * 4 + [[]]))
    others = draw(st.lists(st.sampled_from(_SPLITS), max_size=3))
    for split in dict.fromkeys([*needed, *others]):
        size = draw(sizes)
        labels[split] = [draw(known)] * size
        kind = draw(st.sampled_from(["all"] * 8 + ["none", "none", "some"]))
        if kind == "none":
            labels[split] = [-1] * size
        for _ in range(draw(st.integers(1, 3)) if size and kind == "some" else 0):
            labels[split][draw(st.integers(0, size - 1))] = draw(wrong)
    return labels, classes, draw(st.sampled_from([""] * 7 + [*_SPLITS, "tset"]))


CASES = _cases()
PINNED = [
    ({"train": [0, 1], "test": [-1, -1], "validation": [1, 0]}, 2, ""),
    ({"train": [0, 1], "test": [-1, -1]}, 2, ""),
    ({"train": [0, 1], "test": [0] * 150 + [-1] + [0] * 850}, 2, ""),
]


def check(case) -> bool:
    """Whether every label is read; asserts that this is right, and that all are."""
    labels, classes, chosen = case
    builder = _builder(labels, classes)
    wanted, passed_over = _expected(labels, classes, chosen)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            taken = parts.test_split(builder, chosen)
        for split in ("train", taken):
            rows, name = np.arange(len(labels[split])), parts.split_name(builder, split)
            records = open_records(builder, split)
            examples = Examples(records, rows, 1, range(classes), name=name)
            assert [example["label"] for example in examples] == labels[split], case
    except InputError as error:
        check_sentence(error, ["dataset.name", "dataset.test_split", "set/1, split"])
        assert wanted is None, case
        return False
    assert taken == wanted, case
    assert ("is tested on" in said.getvalue()) == passed_over, case
    return True


def _builder(labels, classes):
    """What is asked of TFDS' builder of a prepared set."""
    records = {
        split: [{"image": _IMAGE, "label": label} for label in own]
        for split, own in labels.items()
    }
    feature = types.SimpleNamespace(num_classes=classes)
    info = types.SimpleNamespace(
        full_name="set/1", splits=records, features={"label": feature}
    )
    return types.SimpleNamespace(
        name="set", info=info, as_data_source=lambda split, decoders: records[split]
    )


def _expected(labels, classes, chosen):
    """The part to test on, None to refuse; and whether one is passed over for it."""
    candidates = [chosen] if chosen else ["test", "validation", "val"]
    candidates = [split for split in candidates if split in labels]
    labelled = [x for x in candidates if set(labels[x]) & set(range(classes))]
    wanted = labelled[0] if labelled and labelled[0] != "train" else None
    for split in ("train", wanted):
        own = set(labels.get(split, ()))
        if not own or not own <= set(range(classes)):
            return None, False
    return wanted, wanted != candidates[0]

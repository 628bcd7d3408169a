"""How classes are spelled: the same name, from whatever it was read."""

import unicodedata
from collections.abc import Iterable


def composed(name: str) -> str:
    """In Unicode's composed form (NFC): macOS writes letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def class_names(classes: Iterable) -> tuple[str, ...]:
    """Of `dataset.classes`, where 3 stands for the name '3'."""
    return tuple(composed(str(name)) for name in classes)

"""Whether a TPU is found, and what depends on it."""

import os
from unittest import mock

import pytest

from ifnas_jax.runtime import host_memory, tpu


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that gives this machine one PCI device, and no GPU."""
    monkeypatch.setattr(tpu, "_PCI", tmp_path)
    monkeypatch.setattr(host_memory, "_has_gpu", lambda: False)
    monkeypatch.setattr(os, "environ", {})

    def attach(vendor, kind):
        (tmp_path / "0000:00:05.0").mkdir()
        (tmp_path / "0000:00:05.0" / "vendor").write_text(vendor + "\n")
        (tmp_path / "0000:00:05.0" / "class").write_text(kind + "\n")

    return attach


@pytest.mark.parametrize(
    ("vendor", "kind", "attached"),
    [
        ("0x1ae0", "0x120000", True),
        ("0x1ae0", "0x020000", False),  # gVNIC, Google's network card
        ("0x1ae0", "0x010802", False),  # its disk
        ("0x8086", "0x120000", False),
    ],
)
def test_where_a_tpu_is_attached_libtpu_and_glibc_are_left_alone(
    vendor, kind, attached, machine, monkeypatch
):
    machine(vendor, kind)
    monkeypatch.setattr(host_memory.platform, "libc_ver", lambda: ("glibc", "2.39"))
    with mock.patch.object(host_memory.ctypes, "CDLL") as libc:
        host_memory.keep_freed_memory()
    tpu.keep_quiet()
    assert tpu.is_attached() == attached
    assert libc.called == ("TPU_ACCELERATOR_TYPE" in os.environ) == (not attached)

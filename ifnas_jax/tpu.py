"""libtpu, the driver and compiler of TPUs, where no TPU is attached."""

import glob
import importlib.util
import os
import pathlib

# Without a TPU libtpu doesn't know the machine's role in a pod, and says so at length
# on stderr. These answers have no other effect: there is nothing to drive, and what is
# compiled follows the topology that is asked for.
_ROLE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
# Of a TPU's PCI device, by which JAX finds it too.
_VENDOR = "0x1ae0"


def is_installed() -> bool:
    """Whether libtpu is there."""
    return importlib.util.find_spec("libtpu") is not None


def keep_quiet() -> None:
    """Keeps libtpu from complaining where there is no TPU.

    JAX looks for a TPU by loading libtpu, if that is installed; so this comes before
    JAX looks. It does nothing where there may be a TPU.
    """
    vendors = map(pathlib.Path, glob.glob("/sys/bus/pci/devices/*/vendor"))
    if any(vendor.read_text().strip() == _VENDOR for vendor in vendors):
        return
    for name, value in _ROLE.items():
        os.environ.setdefault(name, value)


def prepare_compiler() -> None:
    """Lets this process compile for TPUs, and use none; before JAX looks for one."""
    keep_quiet()
    # A TPU belongs to one process, but compilers may run side by side.
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"

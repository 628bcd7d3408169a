"""Whether a TPU is attached; and libtpu, its driver and compiler, where none is."""

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
# By what Linux lists here JAX finds a TPU too; its name in /dev depends on its kind.
_PCI = pathlib.Path("/sys/bus/pci/devices")
_GOOGLE = "0x1ae0"
# The classes of disks and network cards, which Google's machines without a TPU have.
_OTHERS = "0x01", "0x02"


def is_attached() -> bool:
    """Whether there may be a TPU."""
    for device in _PCI.glob("*"):
        try:
            vendor, kind = ((device / name).read_text() for name in ("vendor", "class"))
        except OSError:  # It was taken out meanwhile, or is none of our business.
            continue
        if vendor.strip() == _GOOGLE and not kind.startswith(_OTHERS):
            return True
    return False


def is_installed() -> bool:
    """Whether libtpu is there."""
    return importlib.util.find_spec("libtpu") is not None


def keep_quiet() -> None:
    """Keeps libtpu from complaining where there is no TPU.

    JAX looks for a TPU by loading libtpu, if that is installed; so this comes before
    JAX looks. It does nothing where there may be a TPU.
    """
    if is_attached():
        return
    for name, value in _ROLE.items():
        os.environ.setdefault(name, value)


def prepare_compiler() -> None:
    """Lets this process compile for TPUs, and use none; before JAX looks for one."""
    keep_quiet()
    # A TPU belongs to one process, but compilers may run side by side.
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"

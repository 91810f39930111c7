"""Runs one command as another user id: ``unprivileged.py UID GID PASS COMMAND…``, started by root.

PostgreSQL refuses to run as root. Its files may lie below a folder that is closed to everybody but root
(``/root``, a ``mktemp -d``); with PASS = 1 the command keeps the one right to pass through closed folders, so that
no permission outside the checkout has to be loosened. It is a script of its own because this has to happen between
fork and exec.
"""

import ctypes
import os
import sys

# <linux/prctl.h>, <linux/securebits.h>, <linux/capability.h>
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def _keep(libc: ctypes.CDLL, capability: int) -> bool:
    """Hands one capability, and no other, on through exec. False where the container withholds it."""
    sets = (_Data * 2)()
    sets[0] = _Data(1 << capability, 1 << capability, 1 << capability)
    if libc.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), sets) != 0:
        return False
    return bool(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0)


def main() -> None:
    user, group, keep, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True) if keep == "1" else None
    if libc is not None:
        # Otherwise access(2), with which initdb looks for postgres, leaves the right out of account.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.umask(0o077)
    os.chdir("/")
    os.setgroups([])
    os.setresgid(int(group), int(group), int(group))
    os.setresuid(int(user), int(user), int(user))
    if libc is not None:
        # Reading is the smaller right; containers often withhold it and grant the other.
        _ = _keep(libc, CAP_DAC_READ_SEARCH) or _keep(libc, CAP_DAC_OVERRIDE)
    try:
        os.execv(command[0], command)  # noqa: S606 — the point of this script
    except PermissionError:
        sys.exit(f"{command[0]} lies in a folder that only root may enter.")


if __name__ == "__main__":
    main()

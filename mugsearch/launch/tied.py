"""Runs one command that ends when its parent does: ``tied.py PARENT SIGNAL COMMAND…``.

The parent may be killed in a way it cannot answer (kill -9, out of memory). On Linux the kernel then sends SIGNAL
to the command, so nothing is left running. It is a script of its own, not a ``preexec_fn``, because the parent has
threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, signal, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("The parent ended while this was starting.")
    os.execv(command[0], command)  # noqa: S606 — the point of this script


if __name__ == "__main__":
    main()

"""From a fresh copy and an empty environment to a running system with faces in it: `./run demo`, then stopped.

Prints how long installing took (with its downloads), and how long from there until the address answered.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LIMIT = 900  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="as for ./run demo; else its own choice")
    parser.add_argument("--port", type=int, default=8765)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mugsearch-cold-") as folder:
        copy = Path(folder) / "mugsearch"
        leave_out = shutil.ignore_patterns(".venv", "var", ".git", "__pycache__", ".*_cache")
        shutil.copytree(CHECKOUT, copy, ignore=leave_out)
        command = [str(copy / "run"), "demo", "--port", str(options.port)]
        command += ["--photos", str(options.photos.resolve())] if options.photos else []
        # The interpreter below the virtual environment, so that the copy makes one of its own.
        environment = {"PATH": os.defpath, "PYTHON": str(Path(sys.base_prefix) / "bin" / "python3")}
        started = time.monotonic()
        demo = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        installed = up = 0.0
        try:
            for line in demo.stdout or ():
                if re.match(r"Installed in", line):
                    installed = time.monotonic() - started
                if "is running at" in line:
                    up = time.monotonic() - started
                    break
                if time.monotonic() - started > LIMIT:
                    break
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=60)
    if not up:
        sys.exit("It did not come up.")
    print(f"installed {installed:.0f} s, then up {up - installed:.0f} s, in all {up:.0f} s")


if __name__ == "__main__":
    main()

"""How long a task waits between ``.delay()`` in one process and its first line in a ``--pool=solo`` worker.

    ./run bench broker_delay [--polling 0.1] [--backlog 0] [--kombus-own]

Prints p50, p95 and the longest of 50 tasks sent one at a time at uneven moments, and the processor time that the
idle worker uses. With CELERY_BROKER_URL=redis://… it measures that instead. ``--backlog`` puts so many messages of
another queue into the same folder first; ``--kombus-own`` measures the transport that
``mugsearch.launch.folder_broker`` mends.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from celery import Celery

TASKS = 50
FOLDER = Path(os.environ.get("BROKER_DELAY_FOLDER") or tempfile.mkdtemp(prefix="broker-delay-"))
POLLING = float(os.environ.get("BROKER_DELAY_POLLING", "0.1"))
OWN = os.environ.get("BROKER_DELAY_OWN") == "1"
URL = os.environ.get("CELERY_BROKER_URL", "filesystem://")

app = Celery("broker_delay", broker=URL)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)
if URL.startswith("filesystem://"):
    app.conf.broker_transport_options = {
        "data_folder_in": str(FOLDER / "queue"),
        "data_folder_out": str(FOLDER / "queue"),
        "control_folder": str(FOLDER / "control"),
        "polling_interval": POLLING,
    }
    if not OWN:
        app.conf.broker_transport = "mugsearch.launch.folder_broker:Transport"


@app.task(name="broker_delay.arrive")
def arrive(number: int) -> None:
    """Notes the moment. The monotonic clock is one for all processes of a machine."""
    now = time.monotonic()
    draft = FOLDER / f"{number}.draft"
    draft.write_text(str(now))
    draft.rename(FOLDER / f"{number}.arrived")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--polling", type=float, default=0.1)
    parser.add_argument("--backlog", type=int, default=0)
    parser.add_argument("--kombus-own", action="store_true")
    options = parser.parse_args()
    environ = {
        **os.environ,
        "BROKER_DELAY_FOLDER": str(FOLDER),
        "BROKER_DELAY_POLLING": str(options.polling),
        "BROKER_DELAY_OWN": "1" if options.kombus_own else "0",
    }
    for name in ("queue", "control"):
        (FOLDER / name).mkdir(mode=0o700)
    if options.kombus_own:
        app.conf.broker_transport = None
    for number in range(options.backlog):
        arrive.apply_async((f"other{number}",), queue="other")
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "--quiet", "-A", "broker_delay", "worker", "--pool=solo"),
            *("-Q", "search", "--without-mingle", "--without-gossip", "--without-heartbeat", "--loglevel=ERROR"),
        ],
        env=environ,
        cwd=Path(__file__).parent,
    )
    try:
        send(-1)
        used, since = processor_seconds(worker.pid), time.monotonic()
        time.sleep(5)
        idle = (processor_seconds(worker.pid) - used) / (time.monotonic() - since)
        delays = []
        for number in range(TASKS):
            time.sleep(random.uniform(0.05, 0.25))  # noqa: S311 — uneven, not secret
            delays.append(send(number))
    finally:
        worker.terminate()
        worker.wait()
        shutil.rmtree(FOLDER)
    delays.sort()
    kind = "kombu's own" if options.kombus_own else "folder_broker"
    print(f"{URL} {kind if URL.startswith('filesystem') else ''} polling {options.polling} backlog {options.backlog}")
    print(f"p50 {statistics.median(delays) * 1000:.0f} ms  p95 {delays[int(0.95 * TASKS)] * 1000:.0f} ms  ", end="")
    print(f"longest {delays[-1] * 1000:.0f} ms  idle {idle:.1%} of a processor")


def send(number: int) -> float:
    """Seconds from sending to arrival."""
    sent = time.monotonic()
    arrive.apply_async((number,), queue="search")
    note = FOLDER / f"{number}.arrived"
    while not note.exists():
        time.sleep(0.002)
    return float(note.read_text()) - sent


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.modules["broker_delay"] = sys.modules["__main__"]
    main()

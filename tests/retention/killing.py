"""A process that carries out purges and is killed in the middle: `python -m tests.retention.killing`.

It has the product loaded and nothing opened. For each line of JSON that it is given it forks one that goes the whole
way, from the approval to the certificate, and dies of SIGKILL when it comes to a failpoint for the n-th time. It
answers with what that one died of, and with the failpoints it came by.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import django


def main() -> None:
    django.setup()
    from mugsearch.retention import finishing, services, tasks  # noqa: F401  loaded once for all

    for line in sys.stdin:
        asked = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            try:
                _go(asked, write)
            except BaseException as error:  # noqa: BLE001  whatever it was, whoever waits is told
                os.write(write, f"!{error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as came_by:
            reached = came_by.read().split("\n")[:-1]
        _, status = os.waitpid(child, 0)
        print(json.dumps({"signal": os.WTERMSIG(status), "exit": status >> 8, "reached": reached}), flush=True)


def _go(asked: dict[str, Any], tell: int) -> None:
    from celery.app.task import Task
    from django.conf import settings

    from mugsearch import failpoints
    from mugsearch.accounts.models import User
    from mugsearch.retention import queries, services, tasks
    from mugsearch.retention.models import ExpungementOrder

    var = Path(asked["var"])
    settings.VAR, settings.INDEX_DIR, settings.STAGING = var, var / "index", var / "staging"
    settings.VAULT_FILES, settings.VAULT_KEYS = var / "vault" / "files", var / "vault" / "keys"
    settings.FILE_UPLOAD_TEMP_DIR = var / "uploads"
    settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT_OPTIONS = "filesystem://", asked["broker"]
    Task.apply_async = lambda *_, **__: None
    left = asked["nth"]

    def come_by(name: str) -> None:
        nonlocal left
        os.write(tell, f"{name}\n".encode())
        left -= name == asked["kill_at"]
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    failpoints.armed = come_by
    order = ExpungementOrder.objects.get(pk=asked["order"])
    preview = queries.of_order(order)
    assert preview
    services.approve(by=User.objects.get(pk=asked["by"]), order=order, seen=preview.digest)
    tasks.prove_forgotten(str(order.pk))
    tasks.finish()


if __name__ == "__main__":
    main()

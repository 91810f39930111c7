"""What an erased booking may leave behind where nobody keeps anything on purpose: messages in the broker, sessions, and
uploads of requests that never ended.

Nothing else holds anything between two requests: there is no cache (see settings), exports are written while they are
sent and never to a file, and tasks have no results. Messages and sessions hold ids, if that: one that holds an id of
what is gone is removed.
"""

import base64
import json
import time
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.contrib.sessions.models import Session

from mugsearch import failpoints
from mugsearch.durable import shred
from mugsearch.errors import Unavailable

ABANDONED: Final = 3600  # seconds since its last byte came; no request takes that long
_QUEUES: Final = ("import", "search")
_PRIORITY: Final = b"\x06\x16"  # comes between a queue's name and a priority, in the names of Redis


def remove(ids: Collection[UUID], *, before: datetime) -> dict[str, int]:
    """How much was looked at, and removed. `before`: when the rows went; what is received later is refused.

    Raises Unavailable while something may hold them that can't be removed now.
    """
    sought = [str(one) for one in ids]
    messages, removed = _broker(sought)
    sessions, ended = _sessions(sought)
    uploads = _uploads(before)
    return {"messages": messages, "sessions": sessions, "uploads": uploads, "removed": removed + ended + uploads}


def _sessions(sought: list[str]) -> tuple[int, int]:
    """(looked at, removed): whoever's it is signs in again."""
    holding = [one.pk for one in Session.objects.all() if _speaks(json.dumps(one.get_decoded()), sought)]
    count = Session.objects.count()
    Session.objects.filter(pk__in=holding).delete()
    return count, len(holding)


def _uploads(before: datetime) -> int:
    """What a killed web process left of a request. One that is being received keeps growing, or is about to go."""
    removed = 0
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*"):
        try:
            written = path.stat().st_mtime
        except FileNotFoundError:
            continue
        if not path.is_file() or written >= before.timestamp():
            continue
        if time.time() - written < ABANDONED:
            raise Unavailable("An upload that was received before lies on the disk; it is removed within the hour.")
        shred(path)
        removed += 1
    return removed


def _broker(sought: list[str]) -> tuple[int, int]:
    """(messages looked at, removed)."""
    url = settings.CELERY_BROKER_URL
    if url.startswith("filesystem://"):
        return _in_folders(sought)
    if url.startswith(("redis://", "rediss://")):
        return _in_redis(url, sought)
    raise Unavailable("This broker can't be looked into; use the folder or Redis (see docs/operator.md).")


def _in_folders(sought: list[str]) -> tuple[int, int]:
    options: dict[str, Any] = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    looked = removed = 0
    for folder in {options["data_folder_in"], options["data_folder_out"], options["control_folder"]}:
        for path in Path(folder).glob("*"):
            try:
                text = path.read_text()
            except (FileNotFoundError, IsADirectoryError):  # a worker has it
                continue
            looked += 1
            overwritten = path.suffix == ".taken" and not text.strip("\0")  # by one of us, who was killed then
            if overwritten or _speaks(_opened(text), sought):
                if path.suffix == ".taken":  # a worker is about to remove it, unless it was killed
                    time.sleep(0.5)
                mine = path.with_suffix(".taken")  # as a worker takes it, so that only one of us has it
                try:
                    path.rename(mine)
                except FileNotFoundError:
                    continue
                failpoints.reached("message.taken")
                shred(mine)
                removed += 1
    return looked, removed


def _in_redis(url: str, sought: list[str]) -> tuple[int, int]:
    import redis

    looked = removed = 0
    try:
        broker: Any = redis.Redis.from_url(url)
        for queue in _redis_queues(broker):
            for message in broker.lrange(queue, 0, -1):
                looked += 1
                if _speaks(_opened(message.decode()), sought):
                    removed += broker.lrem(queue, 0, message)
        for message in broker.hvals("unacked"):
            looked += 1
            if _speaks(_opened(json.dumps(json.loads(message)[0])), sought):
                raise Unavailable("A worker is still at a message about it.")
    except redis.RedisError as error:
        raise Unavailable(f"The broker does not answer ({type(error).__name__}).") from error
    return looked, removed


def _redis_queues(broker: Any) -> Iterator[bytes]:
    for queue in _QUEUES:
        name = queue.encode()
        yield from (key for key in broker.scan_iter(match=f"{queue}*") if key.partition(_PRIORITY)[0] == name)


def _opened(message: str) -> str:
    """With its body, which is encoded twice."""
    try:
        body = base64.b64decode(json.loads(message)["body"])
    except (ValueError, KeyError, TypeError):  # of the broker's own, or half written
        return message
    return message + body.decode(errors="replace")


def _speaks(text: str, sought: list[str]) -> bool:
    return any(one in text for one in sought)

"""What is not in our own folders: the files of a PostgreSQL that somebody else runs, and Redis."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from mugsearch.hunting.markers import Sought
from mugsearch.hunting.report import Ages, Place, Progress

_BLOCK = 4 * 2**20
_LIST = """
    WITH RECURSIVE tree(path, isdir, size) AS (
        SELECT top, true, 0::bigint FROM unnest(%s::text[]) top WHERE (pg_stat_file(top, true)).isdir
        UNION ALL
        SELECT path || '/' || name, (stat).isdir, (stat).size FROM (
            SELECT path, name, pg_stat_file(path || '/' || name, true) AS stat
            FROM tree, pg_ls_dir(path, true, false) AS name WHERE tree.isdir
        ) AS listed
    ) SELECT path, size FROM tree WHERE NOT isdir AND size > 0
"""


def files(sought: Sought, progress: Progress) -> Iterator[Place]:
    """Through the server itself, where the role may: of other databases on it only what they share with ours."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        (number,) = cursor.fetchone()
    for name, ages, tops in (
        ("write-ahead log", Ages.WAL, ["pg_wal"]),
        ("database files", Ages.PAGES, [f"base/{number}", "base/pgsql_tmp", "global"]),
        ("PostgreSQL, other files", None, ["pg_stat", "pg_stat_tmp", "pg_replslot"]),
        ("logs", Ages.LOGS, ["log"]),
    ):
        place = Place(name, ages)
        progress(name)
        try:
            with connection.cursor() as cursor:
                cursor.execute(_LIST, [tops])
                listed = cursor.fetchall()
            for path, size in listed:
                place.found(path, sought.in_blocks(_file(path, size, place)))
                place.read(0, 1)
        except DatabaseError as error:
            place.missed.append(f"the files of the server: {type(error.__cause__ or error).__name__}")
        yield place


def _file(path: str, size: int, place: Place) -> Iterator[bytes]:
    for at in range(0, size, _BLOCK):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_read_binary_file(%s, %s, %s, true)", [path, at, _BLOCK])
            (block,) = cursor.fetchone()
        if block is None:
            return  # it went meanwhile
        place.read(len(block))
        yield bytes(block)


def process() -> int | None:
    """The number of the server's first process, if it is on this machine and the role may ask."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int, pg_backend_pid()")
            first, backend = cursor.fetchone()
    except DatabaseError:
        return None
    try:
        # The same numbers on another machine are other processes, or none.
        same = Path(f"/proc/{backend}/stat").read_text().rpartition(") ")[2].split()[1] == str(first)
    except OSError:
        return None
    return int(first) if same else None


def redis(sought: Sought, progress: Progress) -> Iterator[Place]:
    """All keys of the broker's database, of every type."""
    if not settings.CELERY_BROKER_URL.startswith(("redis://", "rediss://", "unix://", "redis+socket://")):
        return
    from redis import Redis
    from redis.exceptions import RedisError

    place = Place("Redis")
    progress("Redis")
    try:
        server = Redis.from_url(settings.CELERY_BROKER_URL)
        readers: dict[bytes, Callable[[bytes], Any]] = {
            b"string": server.get,
            b"list": lambda key: server.lrange(key, 0, -1),
            b"set": server.smembers,
            b"zset": lambda key: server.zrange(key, 0, -1),
            b"hash": server.hgetall,
            b"stream": server.xrange,
        }
        for number, key in enumerate(server.scan_iter(count=1000), start=1):
            kind: Any = server.type(key)
            value = readers[kind](key) if kind in readers else None
            data = b"\n".join((key, *_flat(value)))
            place.read(len(data), 1)
            place.found(f"key {number} ({kind.decode()})", sought.within(data))
        held = server.config_get("dir", "appendonly")
        if held.get("appendonly") == "yes":
            place.missed.append("its append-only file, which it rewrites by itself")
    except RedisError as error:
        place.missed.append(f"Redis: {type(error).__name__}")
    place.missed.append("the memory of its process")
    yield place


def _flat(value: object) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for item in value.items():
            yield from _flat(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _flat(item)

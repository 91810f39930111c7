"""The services the processes need: the real ones the environment names, embedded ones for the rest."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mugsearch.launch import CannotStart, environment
from mugsearch.launch.held import Held
from mugsearch.launch.places import CHECKOUT, Places, owned
from mugsearch.launch.postgres import EmbeddedPostgres, Lease


@contextmanager
def services(places: Places, *, plain_http: bool = False, durable: bool = True) -> Iterator[dict[str, str]]:
    """The environment for the children, with everything in it running until the end of the ``with``."""
    leases: list[Lease] = []

    def database_urls() -> tuple[str, str]:
        leases.append(EmbeddedPostgres(places.postgres, places.locks, durable=durable).lease())
        return leases[-1].url, leases[-1].owner_url

    places.prepare()
    try:
        yield environment.for_children(places, database_urls=database_urls, plain_http=plain_http)
    finally:
        for lease in leases:
            lease.end()


@contextmanager
def throw_away_services(*, durable: bool) -> Iterator[dict[str, str]]:
    """Services with nothing in them, in a folder of their own that is gone afterwards.

    Each run has its own, so two at once do not meet. What an earlier run left because it was killed is removed
    first.
    """
    shelf = CHECKOUT / "var" / "test"
    with owned(shelf):
        shelf.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            # PostgreSQL passes through as a user without rights; see Places.prepare.
            shelf.parent.chmod(0o711)
            shelf.chmod(0o711)
        with Held(shelf / "lock").alone():
            _sweep(shelf)
            places = Places(shelf / str(os.getpid()))
            places.prepare()
            in_use = Held(places.locks / "in-use").shared()
    before = os.environ.get("MUGSEARCH_VAR")
    os.environ["MUGSEARCH_VAR"] = str(places.var)
    try:
        with services(places, plain_http=True, durable=durable) as environ:
            yield environ
    finally:
        if before is None:
            del os.environ["MUGSEARCH_VAR"]
        else:
            os.environ["MUGSEARCH_VAR"] = before
        _remove(places)
        in_use.release()


def _sweep(shelf: Path) -> None:
    for folder in shelf.iterdir():
        if folder.is_dir() and (folder / "locks").is_dir():
            with Held(folder / "locks" / "in-use") as mark:
                if mark.alone_now():
                    _remove(Places(folder))


def _remove(places: Places) -> None:
    if places.postgres.exists():
        EmbeddedPostgres(places.postgres, places.locks).discard()
    shutil.rmtree(places.var, ignore_errors=True)


def start_over(places: Places) -> None:
    """Deletes what the launcher and the demo made below ``var``, and says what.

    Raises:
        CannotStart: while it runs, or where the data are in a database of one's own.
    """
    if environment.given("DATABASE_URL"):
        raise CannotStart("--fresh deletes only the embedded data, and DATABASE_URL names a database of your own.")
    if not places.var.exists():
        return
    places.prepare()
    gone = [places.var / name for name in _OF_THE_DEMO if (places.var / name).exists()]
    EmbeddedPostgres(places.postgres, places.locks).discard()
    for path in gone:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    print(f"Deleted in {places.var}: {', '.join(path.name for path in gone)}", file=sys.stderr)


#: What the launcher and the product put below ``var``. Anything else there is somebody's own; logs and locks stay.
_OF_THE_DEMO = (
    "postgres",
    "broker",
    "secrets",
    "vault",
    "index",
    "staging",
    "static",
    "heads",
    "schedule",
    "demo.txt",
    "restoring",
)

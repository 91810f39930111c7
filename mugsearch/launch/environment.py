"""What the started processes are told. Whatever the environment says already stays as it is."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from mugsearch.launch import CannotStart
from mugsearch.launch.keys import ensure_keys
from mugsearch.launch.places import Places

#: The two native libraries that would otherwise start a thread per core in every process.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

#: The dynamic linker saves the processor's wide registers on the stack when it looks up a function late, and with them
#: pieces of a vector; so it looks all of them up at the start.
_LINKED_AT_ONCE = {"LD_BIND_NOW": "1"}


#: Setting -> name of the file under ``var/secrets`` that is made where the setting is missing.
_SECRETS = {
    "SECRET_KEY": "secret_key",
    "MUGSEARCH_MASTER_KEY": "master_key",
    "MUGSEARCH_SIGNING_KEY": "signing_key",
}


#: Told to no process but those that act as the owner of the tables.
OWNERS = ("MUGSEARCH_OWNER_DATABASE_URL", "MUGSEARCH_OWNER_DATABASE_URL_FILE")


def given(name: str) -> bool:
    """Whether a setting is in the environment, as itself or as a path in ``NAME_FILE``."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def for_children(places: Places, *, database_urls: Callable[[], tuple[str, str]], plain_http: bool) -> dict[str, str]:
    """The whole environment of the children.

    ``database_urls`` is called, and so starts the embedded server, only where the environment names none. It gives
    the service's and the owner's.
    """
    lacking: dict[str, str] = {
        "DJANGO_SETTINGS_MODULE": "mugsearch.settings",
        "MUGSEARCH_VAR": str(places.var),
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        "PYTHONUNBUFFERED": "1",
        **_ONE_THREAD,
        **_LINKED_AT_ONCE,
    }
    if plain_http:
        lacking["MUGSEARCH_INSECURE_HTTP"] = "1"
    if not given("CELERY_BROKER_URL"):
        lacking["CELERY_BROKER_URL"] = "filesystem://"
        lacking["MUGSEARCH_BROKER_DIR"] = str(
            _broker_folders(Path(os.environ.get("MUGSEARCH_BROKER_DIR") or places.broker))
        )
    if not all(map(given, _SECRETS)):
        keys = ensure_keys(places)
        for name, key in _SECRETS.items():
            if not given(name):
                # The path, not the secret: an environment is shown by ps and written into crash reports.
                lacking[f"{name}_FILE"] = str(keys[key])
    if not given("DATABASE_URL"):
        if given(OWNERS[0]):
            raise CannotStart("MUGSEARCH_OWNER_DATABASE_URL is set, but DATABASE_URL, the service's own, is not.")
        lacking["DATABASE_URL"], lacking[OWNERS[0]] = database_urls()
    return {**os.environ, **{name: value for name, value in lacking.items() if not os.environ.get(name)}}


def without_owner(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in OWNERS}


def _broker_folders(broker: Path) -> Path:
    for name in ("", "queue", "control"):
        (broker / name).mkdir(mode=0o700, exist_ok=True)
    return broker

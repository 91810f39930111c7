"""``python -m mugsearch.launch COMMAND …``: what ``./run`` starts once Python and the packages are there."""

import argparse
import os
import resource
import sys
from pathlib import Path

from mugsearch.launch import CannotStart
from mugsearch.launch.children import run_to_end
from mugsearch.launch.places import CHECKOUT, Places
from mugsearch.launch.services import services, throw_away_services
from mugsearch.launch.trial_roles import with_trial_roles

PYTHON = sys.executable


def main(arguments: list[str]) -> int:
    os.umask(0o077)
    # Memory holds faces and names: it is not to be written to a disk by a crash. Children inherit it, PostgreSQL too.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    command, rest = arguments[0], arguments[1:]
    try:
        return _COMMANDS[command](rest)
    except CannotStart as reason:
        print(f"mugsearch: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def demo(arguments: list[str]) -> int:
    from mugsearch.launch.sessions import run_demo

    parser = argparse.ArgumentParser(prog="./run demo", description="A running system with faces in it.")
    parser.add_argument("--fresh", action="store_true", help="delete the data of before and start over")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="photographs to fill the gallery with")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="8000, or the next free one")
    options = parser.parse_args(arguments)
    if options.photos and not options.photos.is_dir():
        raise CannotStart(f"There is no folder {options.photos}.")
    return run_demo(fresh=options.fresh, photos=options.photos, port=options.port)


def serve(arguments: list[str]) -> int:
    from mugsearch.launch.sessions import run_serve

    parser = argparse.ArgumentParser(prog="./run serve", description="The production processes, behind your TLS proxy.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="8000, or the next free one")
    parser.add_argument("--insecure-http", action="store_true", help="no TLS in front: for a closed test network only")
    options = parser.parse_args(arguments)
    return run_serve(host=options.host, port=options.port, plain_http=options.insecure_http)


def manage(arguments: list[str]) -> int:
    """In the caller's folder, so that relative paths mean what they say."""
    with services(Places.chosen()) as environ:
        return run_to_end([PYTHON, str(CHECKOUT / "manage.py"), *arguments], environ=environ)


def test(arguments: list[str]) -> int:
    with throw_away_services(durable=False) as environ:
        command = [PYTHON, "-m", "pytest", *(arguments or ["-n", "2"])]
        return run_to_end(command, environ=with_trial_roles(environ), folder=CHECKOUT)


def bench(arguments: list[str]) -> int:
    names = sorted(path.stem for path in (CHECKOUT / "benchmarks").glob("[a-z]*.py"))
    if not arguments or arguments[0] not in names:
        raise CannotStart(f"Name a benchmark: {', '.join(names)}.")
    script = str(CHECKOUT / "benchmarks" / f"{arguments[0]}.py")
    with throw_away_services(durable=True) as environ:
        return run_to_end([PYTHON, script, *arguments[1:]], environ=environ)


def check(arguments: list[str]) -> int:
    """Every check, also after one failed, so that one round shows all there is to mend."""
    bin_folder = Path(sys.prefix) / "bin"
    steps: list[tuple[str, list[str]]] = [
        ("style", [PYTHON, "-m", "ruff", "check", "."]),
        ("layout", [PYTHON, "-m", "ruff", "format", "--check", "."]),
        ("types", [PYTHON, "-m", "mypy"]),
        ("layers", [str(bin_folder / "lint-imports")]),
        ("migrations", [PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"]),
        ("settings", [PYTHON, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]),
    ]
    failed = []
    with throw_away_services(durable=False) as environ:
        # The settings are checked as production sees them.
        environ = {name: value for name, value in environ.items() if name != "MUGSEARCH_INSECURE_HTTP"}
        for name, command in steps:
            print(f"— {name}", flush=True)
            if run_to_end(command, environ=environ, folder=CHECKOUT) != 0:
                failed.append(name)
    print(f"Not right: {', '.join(failed)}." if failed else "All checks passed.", flush=True)
    return 1 if failed else 0


_COMMANDS = {"demo": demo, "serve": serve, "manage": manage, "test": test, "bench": bench, "check": check}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

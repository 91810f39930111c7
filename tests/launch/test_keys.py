"""The secrets of an embedded installation."""

import threading
from pathlib import Path

import pytest

from mugsearch.launch import CannotStart
from mugsearch.launch.keys import NAMES, ensure_keys
from mugsearch.launch.places import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path / "var")
    places.prepare()
    return places


def test_the_secrets_are_made_once_and_never_again(places: Places) -> None:
    first = {name: path.read_text() for name, path in ensure_keys(places).items()}
    again = {name: path.read_text() for name, path in ensure_keys(places).items()}
    assert first == again
    assert len(set(first.values())) == len(NAMES)
    assert all(len(bytes.fromhex(text)) == 32 for text in first.values())


def test_nobody_else_may_read_the_secrets(places: Places) -> None:
    for path in ensure_keys(places).values():
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_damaged_secret_stops_the_start_and_is_not_replaced(places: Places) -> None:
    key = ensure_keys(places)["master_key"]
    key.write_text("")
    with pytest.raises(CannotStart, match="backup"):
        ensure_keys(places)
    assert key.read_text() == ""


def test_two_first_starts_at_once_agree_on_the_secrets(places: Places) -> None:
    seen: list[tuple[str, ...]] = []
    together = threading.Barrier(8)

    def start() -> None:
        together.wait()
        seen.append(tuple(path.read_text() for path in ensure_keys(places).values()))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1

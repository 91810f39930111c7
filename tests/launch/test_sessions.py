"""What ``./run demo`` says and refuses before it starts anything."""

import io
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from gunicorn.config import Config

from mugsearch.launch import CannotStart
from mugsearch.launch.held import Held
from mugsearch.launch.places import Places
from mugsearch.launch.services import start_over
from mugsearch.launch.sessions import free_port, processes, run_demo, run_serve
from mugsearch.launch.terminal import Journal, Terminal


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("MUGSEARCH_VAR", str(tmp_path / "var"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name in ("DATABASE_URL_FILE", "MUGSEARCH_OWNER_DATABASE_URL", "MUGSEARCH_OWNER_DATABASE_URL_FILE"):
        monkeypatch.delenv(name, raising=False)
    places = Places.chosen()
    places.prepare()
    return places


def test_a_second_demo_names_the_address_of_the_first(places: Places) -> None:
    with Held(places.locks / "running") as first:
        assert first.alone_now()
        first.write("http://127.0.0.1:8000/")
        with pytest.raises(CannotStart, match=r"already running at http://127\.0\.0\.1:8000/"):
            run_demo(fresh=True, photos=None, port=8000)


def test_a_taken_port_gives_the_next_free_one_and_says_so() -> None:
    said = io.StringIO()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        port = free_port("127.0.0.1", wanted, Terminal(said))
    assert port > wanted
    assert said.getvalue() == f"Port {wanted} is taken; using {port}.\n"


def test_starting_over_deletes_the_data_and_nothing_of_somebody_else(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.var / "vault").mkdir()
    (places.var / "demo.txt").write_text("sign-ins")
    (places.var / "my notes.txt").write_text("mine")
    start_over(places)
    assert not (places.var / "vault").exists()
    assert not (places.var / "demo.txt").exists()
    assert (places.var / "my notes.txt").read_text() == "mine"
    assert "vault" in capsys.readouterr().err


def test_starting_over_keeps_off_a_database_of_ones_own(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    (places.var / "vault").mkdir()
    monkeypatch.setenv("DATABASE_URL", "postgres://mine")
    with pytest.raises(CannotStart, match="DATABASE_URL"):
        start_over(places)
    assert (places.var / "vault").exists()


def test_production_refuses_plain_http_that_was_not_asked_for(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUGSEARCH_INSECURE_HTTP", "1")
    with pytest.raises(CannotStart, match="INSECURE_HTTP"):
        run_serve(host="127.0.0.1", port=8000, plain_http=False)


def test_production_never_shows_the_codes_of_the_demo(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUGSEARCH_DEMO", "1")
    with pytest.raises(CannotStart, match="MUGSEARCH_DEMO"):
        run_serve(host="0.0.0.0", port=0, plain_http=True)  # noqa: S104  # it never gets to listen


@pytest.mark.parametrize("start", [lambda: run_serve(host="127.0.0.1", port=8000, plain_http=False),
                                   lambda: run_demo(fresh=False, photos=None, port=8000)])  # fmt: skip
def test_a_server_of_ones_own_is_not_served_from_as_the_owner_of_the_tables(
    places: Places, monkeypatch: pytest.MonkeyPatch, start: Callable[[], int]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://mine")
    monkeypatch.delenv("MUGSEARCH_INSECURE_HTTP", raising=False)
    with pytest.raises(CannotStart, match="MUGSEARCH_OWNER_DATABASE_URL is not"):
        start()


def test_the_owner_is_told_to_one_process_only(places: Places) -> None:
    told = [service.name for service in processes(places, host="127.0.0.1", port=8000) if service.owner]
    assert told == ["maintenance worker"]


def test_no_header_of_a_client_names_another_root_for_the_addresses(places: Places) -> None:
    web = processes(places, host="127.0.0.1", port=8000)[0].command
    asked = Config()
    for name, value in vars(asked.parser().parse_args(web[3:])).items():
        if value is not None and name in asked.settings:
            asked.set(name, value)
    assert asked.forwarder_headers == []


def test_a_log_starts_anew_before_it_grows_too_long(tmp_path: Path) -> None:
    with Journal(tmp_path / "web.log", longest=1000) as journal:
        for number in range(200):
            journal.write(f"line {number}")
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["web.log", "web.log.1", "web.log.2", "web.log.3"]
    assert all(path.stat().st_size < 1100 for path in tmp_path.iterdir())
    assert (tmp_path / "web.log").read_text().splitlines()[-1].endswith("line 199")


def test_the_terminal_shows_errors_and_stops_repeating_them() -> None:
    said = io.StringIO()
    terminal = Terminal(said)
    terminal.heard("web", "GET / 200")
    for _ in range(20):
        terminal.heard("web", "ERROR the disk is full")
    assert said.getvalue().count("the disk is full") == 5
    assert "GET" not in said.getvalue()
    assert "see its file" in said.getvalue()

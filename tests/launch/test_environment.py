"""What the started processes are told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mugsearch.launch import CannotStart, environment
from mugsearch.launch.places import Places

OWNER = "MUGSEARCH_OWNER_DATABASE_URL"
NAMES = ("DATABASE_URL", OWNER, "CELERY_BROKER_URL", "SECRET_KEY", "MUGSEARCH_MASTER_KEY", "MUGSEARCH_SIGNING_KEY")
OTHERS = ("MUGSEARCH_VAR", "MUGSEARCH_BROKER_DIR", "MUGSEARCH_INSECURE_HTTP")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    for name in (*NAMES, *(f"{name}_FILE" for name in NAMES), *OTHERS):
        monkeypatch.delenv(name, raising=False)
    places = Places(tmp_path / "var")
    places.prepare()
    return places


def no_server() -> tuple[str, str]:
    raise AssertionError("the embedded server was started")


def started() -> Callable[[], tuple[str, str]]:
    return lambda: ("postgresql:///embedded", "postgresql://owner@/embedded")


def test_without_any_setting_everything_is_embedded(places: Places) -> None:
    environ = environment.for_children(places, database_urls=started(), plain_http=True)
    assert environ["DATABASE_URL"] == "postgresql:///embedded"
    assert environ[OWNER] == "postgresql://owner@/embedded"
    assert environ["CELERY_BROKER_URL"] == "filesystem://"
    assert Path(environ["MUGSEARCH_BROKER_DIR"]).is_relative_to(places.var)
    assert Path(environ["SECRET_KEY_FILE"]).read_text()
    assert Path(environ["MUGSEARCH_MASTER_KEY_FILE"]).read_text()
    assert Path(environ["MUGSEARCH_SIGNING_KEY_FILE"]).read_text()
    assert environ["MUGSEARCH_INSECURE_HTTP"] == "1"


@pytest.mark.parametrize("form", ["DATABASE_URL", "DATABASE_URL_FILE"])
def test_a_database_of_ones_own_starts_no_embedded_server(
    places: Places, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv(form, "given")
    environ = environment.for_children(places, database_urls=no_server, plain_http=False)
    assert environ[form] == "given"
    assert environ["CELERY_BROKER_URL"] == "filesystem://"


def test_an_owner_alone_is_refused_because_the_service_must_not_be_it(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OWNER, "given")
    with pytest.raises(CannotStart, match="DATABASE_URL, the service's own, is not"):
        environment.for_children(places, database_urls=no_server, plain_http=False)


def test_secrets_of_ones_own_leave_none_on_the_disk(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "mine")
    monkeypatch.setenv("MUGSEARCH_MASTER_KEY_FILE", "/elsewhere")
    monkeypatch.setenv("MUGSEARCH_SIGNING_KEY_FILE", "/elsewhere")
    environ = environment.for_children(places, database_urls=started(), plain_http=False)
    assert environ["SECRET_KEY"] == "mine"
    assert "SECRET_KEY_FILE" not in environ
    assert not list(places.secrets.iterdir())


def test_production_is_not_put_on_plain_http(places: Places) -> None:
    environ = environment.for_children(places, database_urls=started(), plain_http=False)
    assert "MUGSEARCH_INSECURE_HTTP" not in environ


def test_an_empty_setting_counts_as_none(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    environ = environment.for_children(places, database_urls=started(), plain_http=False)
    assert environ["DATABASE_URL"] == "postgresql:///embedded"

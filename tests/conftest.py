"""Shared arrangements: a vault of its own for every test, the fake encoder, sign-in, and emptying the database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db.models.signals import post_migrate
from django.test import Client
from rest_framework.test import APIClient

from mugsearch.accounts.models import User
from tests.factories import signed_in
from tests.roles import django_db_modify_db_settings, django_db_setup  # noqa: F401  who connects to the database

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photographs beside the checkout; tests that need it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("../shared/data is not on this machine")
    return SHARED


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, settings: Any) -> None:
    settings.VAR = tmp_path_factory.mktemp("service") / "var"
    settings.VAULT_FILES = settings.VAR / "vault" / "files"
    settings.VAULT_KEYS = settings.VAR / "vault" / "keys"
    settings.INDEX_DIR = settings.VAR / "index"
    settings.STAGING = settings.VAR / "staging"
    settings.FILE_UPLOAD_TEMP_DIR = settings.VAR / "uploads"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir(parents=True)


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _unlimited(settings: Any) -> None:
    """Tests send more in a minute than people; tests of the limits set their own."""
    settings.MUGSEARCH_LIMITS = dict.fromkeys(settings.MUGSEARCH_LIMITS, (10**9, 10**9))


@pytest.fixture(autouse=True)
def queued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """Tasks are not sent to a broker but listed here as (name, args); a test runs what it wants to run."""
    sent: list[tuple[str, tuple[Any, ...]]] = []

    def remember(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> None:
        sent.append((self.name, tuple(args or ())))

    monkeypatch.setattr("celery.app.task.Task.apply_async", remember)
    return sent


@pytest.fixture
def fake_encoder(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
    """The product's encoder becomes tests.fakes.FakeEncoder: fast, exact, without a model. The index starts empty."""
    from mugsearch.engine import encoders
    from mugsearch.gallery import live
    from tests.fakes import FakeEncoder

    live.reset()
    monkeypatch.setitem(encoders.ENCODERS, "fake", lambda _: FakeEncoder())
    settings.MUGSEARCH_ENCODER = "fake"
    return FakeEncoder()


@pytest.fixture
def page() -> Callable[[User], Client]:
    """A browser-like client that has just signed in, with a second factor: page(user).get(...)."""

    def sign_in(user: User) -> Client:
        return signed_in(Client(), user)

    return sign_in


@pytest.fixture
def api() -> Callable[[User], APIClient]:
    """The same with the answers of the API."""

    def sign_in(user: User) -> APIClient:
        return signed_in(APIClient(), user)

    return sign_in


# Tests begin without any row. The policy of the installation holds all the same, as long as no version is recorded.
post_migrate.disconnect(sender=apps.get_app_config("probes"), dispatch_uid="probes.policy")

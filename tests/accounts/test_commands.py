import io

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from mugsearch.accounts.models import Agency, Role, User

pytestmark = pytest.mark.django_db


def add_user(monkeypatch, *arguments: str, password: str = "a long enough passphrase") -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    out = io.StringIO()
    call_command("add_user", *arguments, stdout=out)
    return out.getvalue()


def test_a_new_installation_gets_its_agency_and_administrator_from_two_commands(monkeypatch):
    call_command("add_agency", "springfield", "Springfield PD", stdout=io.StringIO())
    said = add_user(monkeypatch, "ann", "--name", "Ann Admin", "--agency", "springfield", "--role", "administrator")
    assert said == "Ann Admin can sign in as ann.\n"
    assert User.objects.get(username="ann").has_role(Role.ADMINISTRATOR)
    assert Client().login(username="ann", password="a long enough passphrase")


def test_an_unknown_agency_is_named_with_those_there_are(monkeypatch):
    Agency.objects.create(code="here", name="Here")
    with pytest.raises(CommandError, match="There are: here"):
        add_user(monkeypatch, "ann", "--name", "Ann", "--agency", "there", "--role", "auditor")


def test_a_weak_password_makes_no_user(monkeypatch):
    Agency.objects.create(code="here", name="Here")
    with pytest.raises(CommandError, match="too short"):
        add_user(monkeypatch, "ann", "--name", "Ann", "--agency", "here", "--role", "auditor", password="x")
    assert not User.objects.filter(username="ann").exists()


def test_an_agency_code_is_taken_once():
    call_command("add_agency", "here", "Here", stdout=io.StringIO())
    with pytest.raises(CommandError, match="already"):
        call_command("add_agency", "HERE", "Again", stdout=io.StringIO())

"""Signing in, being forgotten, and security keys in a real browser."""

import re
from typing import Any

from mugsearch.accounts import factors
from mugsearch.accounts.models import Role, Sitting
from mugsearch.audit.models import Entry
from tests import factories
from tests.factories import PASSWORD
from tests.journeys.browser import MARKS, WAIT, require_accessible

pytestmark = [mark for mark in MARKS if mark.name not in ("models", "shared")]


def test_a_page_that_nobody_touches_takes_itself_away_and_back_does_not_bring_it_back(desk: Any) -> None:
    clerk = factories.clerk(full_name="Rita Alvarez")
    factories.PersonFactory(family_name="Quillfeather", agency=clerk.agency)
    page = desk(clerk)
    page.clock.install()
    page.goto("/gallery/people/")
    page.goto("/account")
    page.get_by_text("Rita Alvarez").first.wait_for()
    page.clock.fast_forward("29:00")
    page.mouse.move(50, 50)  # somebody is there
    page.clock.fast_forward("29:00")
    assert page.get_by_text("Rita Alvarez").count()
    page.clock.fast_forward("02:00")
    page.wait_for_url("**/locked")
    assert "Rita Alvarez" not in page.content()
    assert not Sitting.objects.exists()
    assert Entry.objects.get(act="session.ended").details["reason"] == "idle"
    page.go_back()
    page.wait_for_url(re.compile("/banner|/sign-in"))
    assert "Rita Alvarez" not in page.content()


def test_somebody_enrols_signs_in_and_confirms_with_a_security_key(desk: Any) -> None:
    chief = factories.UserFactory(roles=[Role.ADMINISTRATOR])
    page = desk.window()
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    key = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": False, "hasUserVerification": False}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": {**key, "automaticPresenceSimulation": True}})
    password(page, chief)
    page.get_by_role("heading", name="Set up your second factor").wait_for()
    require_accessible(page)
    page.get_by_label("Name of the key").fill("The blue one")
    page.get_by_role("button", name="Use a security key").click()
    page.get_by_role("heading", name="Recovery codes").wait_for(timeout=WAIT)
    require_accessible(page)
    assert page.locator(".code-list li").count() == 10
    assert [str(one) for one in factors.of(chief)] == ["The blue one"]
    page.goto("/account")
    require_accessible(page)
    page.get_by_role("button", name="Sign out").click()
    password(page, chief)
    page.get_by_role("button", name="Use a security key").click()
    page.wait_for_url(re.compile(r"^(?!.*sign-in)"))
    assert Entry.objects.filter(act="session.started", outcome="done").latest("number").details["factor"] == "webauthn"
    Sitting.objects.update(confirmed_at="2020-01-01T00:00Z")
    page.goto("/users/")
    page.get_by_role("heading", name="Confirm that it is you").wait_for()
    require_accessible(page)
    page.get_by_role("button", name="Use a security key").click()
    page.get_by_role("heading", name="Users").wait_for()


def test_of_two_browsers_one_ends_the_session_of_the_other_and_an_administrator_ends_both(desk: Any) -> None:
    clerk = factories.clerk(full_name="Rita Alvarez")
    here, there = desk(clerk), desk(clerk)
    for page in (here, there):
        page.goto("/account")
    assert Sitting.objects.count() == 2
    here.reload()
    here.get_by_role("button", name="End", exact=True).click()
    here.get_by_role("button", name="End", exact=True).wait_for(state="detached")
    require_out(there)
    here.goto("/gallery/people/")
    here.get_by_text("Rita Alvarez").wait_for()
    chief = desk(factories.administrator())
    chief.goto(f"/users/{clerk.pk}")
    chief.get_by_role("button", name="End", exact=True).click()
    chief.get_by_role("button", name="End", exact=True).wait_for(state="detached")
    require_out(here)
    assert not Sitting.objects.filter(user=clerk).exists()


def require_out(page: Any) -> None:
    """What is clicked next leads to the way in, and Back shows nothing of before."""
    page.get_by_role("link", name="People").first.click()
    page.wait_for_url(re.compile("/banner|/sign-in|/locked"))
    assert "Rita Alvarez" not in page.content()
    page.go_back()
    page.wait_for_url(re.compile("/banner|/sign-in|/locked"))
    assert "Rita Alvarez" not in page.content()


def password(page: Any, user: Any) -> None:
    page.goto("/sign-in")
    page.get_by_role("button", name="I understand").click()
    page.get_by_label("User name").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

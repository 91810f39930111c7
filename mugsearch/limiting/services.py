"""Counting one more, and refusing what is too much."""

import datetime
from ipaddress import ip_address, ip_network
from math import ceil

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from mugsearch.audit import services as audit
from mugsearch.errors import TooMany, Unavailable
from mugsearch.limiting.models import Window

KEPT = datetime.timedelta(days=1)
_WORDS = {"sign_in": "tries to sign in", "upload": "uploads", "search": "searches", "export": "exports"}


def by_user(kind: str, user: audit.Actor) -> None:
    """Raises TooMany when this is more than the person may do in the window."""
    _count(kind, f"user:{user.pk}", most=_most(kind)[0], per="user", by=user)


def by_name(kind: str, typed: str) -> None:
    """The same for a user name as it was typed: not kept as it is, for it may be a password in the wrong box."""
    digest = salted_hmac("mugsearch.limiting", typed.strip().casefold(), algorithm="sha256").hexdigest()
    _count(kind, f"name:{digest}", most=_most(kind)[0], per="name", by=None)


def by_address(kind: str, by: audit.Actor | None) -> None:
    """The same for the address the request came from; an IPv6 customer has a /64 and counts as one."""
    _count(kind, f"address:{_network(audit.origin.get())}", most=_most(kind)[1], per="address", by=by)


def forget() -> None:
    """The counts of windows that are long over."""
    Window.objects.filter(began__lt=timezone.now() - KEPT).delete()


def _most(kind: str) -> tuple[int, int]:
    """Per user and per address."""
    most: tuple[int, int] = settings.MUGSEARCH_LIMITS[kind]
    return most


def _network(address: str | None) -> str:
    if not address:
        return "unknown"
    parsed = ip_address(address.partition("%")[0])
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), 64), strict=False))


def _count(kind: str, whose: str, *, most: int, per: str, by: audit.Actor | None) -> None:
    """One upsert. What is one too many for the first time leaves an entry, and none after that in this window.

    Fails closed: what can't be counted, or whose first refusal can't be recorded, isn't done.
    """
    length = settings.MUGSEARCH_LIMIT_WINDOW
    now = timezone.now()
    began = datetime.datetime.fromtimestamp(now.timestamp() // length * length, datetime.UTC)
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO limiting_window (kind, whose, began, count) VALUES (%s, %s, %s, 1)
                ON CONFLICT (kind, whose, began) DO UPDATE SET count = least(limiting_window.count + 1, 2000000000)
                RETURNING count
                """,
                [kind, whose, began],
            )
            (count,) = cursor.fetchone()
            if count == most + 1:
                audit.refuse("limit.reached", by=by, reason=TooMany.code, limit=kind, per=per, most=most)
    except DatabaseError as error:
        raise Unavailable("What is limited can't be counted now, so it isn't done. Try again in a minute.") from error
    if count > most:
        again = began + datetime.timedelta(seconds=length)
        raise TooMany(
            f"Too many {_WORDS[kind]} in a short time. Try again at {timezone.localtime(again):%H:%M}.",
            retry_after=max(1, ceil((again - now).total_seconds())),
        )

"""Accounts that nobody used for long are disabled (CJIS 6.0 AC-2(3): 90 days)."""

import datetime
from typing import Any

from django.conf import settings
from django.db.models import Max, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from mugsearch.accounts import services
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit


def idle() -> "QuerySet[User, Any]":
    """Neither signed in nor let a program act, nor were enabled or added, for MUGSEARCH_IDLE_DAYS."""
    since = timezone.now() - datetime.timedelta(days=settings.MUGSEARCH_IDLE_DAYS)
    used = Greatest("created_at", "last_login", "enabled_at", Max("auth_token_set__used_at"))  # without what is NULL
    return User.objects.people().filter(is_active=True).annotate(used=used).filter(used__lt=since)


def disable() -> int:
    """All of them but the last administrators, of whom nobody could enable anybody again. Returns how many."""
    console, done = services.console(), 0
    for user in idle().order_by("username"):
        with audit.act("user.disabled", by=console, obj=user, reason="idle", days=settings.MUGSEARCH_IDLE_DAYS) as act:
            administrators = User.objects.people().filter(is_active=True, grants__role=Role.ADMINISTRATOR)
            others = [one.pk for one in administrators.select_for_update(of=("self",)) if one.pk != user.pk]
            if user.has_role(Role.ADMINISTRATOR) and not others:
                act.name = "user.kept-enabled"
                act.note(reason="last administrator")
                continue
            services.end_account(user)
            done += 1
    return done

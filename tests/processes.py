"""Starting a process of the product beside a test: same database, same folders, same keys."""

import os
from typing import Any

from django.db import connection


def environment(settings: Any) -> dict[str, str]:
    """The environment for a child that works on this test's data. It signs in as the service, and knows the owner."""
    name = connection.settings_dict["NAME"]
    base, mark, query = os.environ["DATABASE_URL"].partition("?")
    return {
        **os.environ,
        "DATABASE_URL": f"{base.rpartition('/')[0]}/{name}{mark}{query}",
        "DJANGO_SETTINGS_MODULE": "mugsearch.settings",
        "MUGSEARCH_VAR": str(settings.VAR),
        "MUGSEARCH_MASTER_KEY": settings.MUGSEARCH_MASTER_KEY,
    }

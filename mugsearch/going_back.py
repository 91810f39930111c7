"""What a migration refuses when it is taken back: to lose rows that say what nothing else says."""

from typing import Any

from django.core.management.base import CommandError
from django.db.migrations import RunPython


def refused_for(rows: str, why: str) -> RunPython:
    """An operation; the last of a migration is the first when it is taken back. `rows` is what SQL selects from."""

    def refuse(apps: Any, schema_editor: Any) -> None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(f"SELECT EXISTS (SELECT FROM {rows})")  # noqa: S608  # written in the migrations
            (found,) = cursor.fetchone()
        if found:
            raise CommandError(
                f"This can't be taken back: {why}. ./run manage migrate makes the tables again what this version "
                "needs; to run an older version, restore the backup that was made with it."
            )

    return RunPython(RunPython.noop, refuse)

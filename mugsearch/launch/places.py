"""Where everything that is written lives."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mugsearch.launch import CannotStart

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Places:
    """The folders below one ``var``. Only this user may look into them."""

    var: Path

    @classmethod
    def chosen(cls) -> "Places":
        """The folder ``MUGSEARCH_VAR`` names, else ``var`` in the checkout."""
        return cls(Path(os.environ.get("MUGSEARCH_VAR") or CHECKOUT / "var").absolute())

    @property
    def postgres(self) -> Path:
        return self.var / "postgres"

    @property
    def broker(self) -> Path:
        return self.var / "broker"

    @property
    def secrets(self) -> Path:
        return self.var / "secrets"

    @property
    def log(self) -> Path:
        return self.var / "log"

    @property
    def locks(self) -> Path:
        return self.var / "locks"

    @property
    def schedule(self) -> Path:
        return self.var / "schedule"

    @property
    def sign_ins(self) -> Path:
        """What ``manage.py demo_setup`` leaves for the terminal: one sign-in per role."""
        return self.var / "demo.txt"

    def prepare(self) -> None:
        """Makes the folders.

        When root starts us, PostgreSQL runs as a user without rights and has to pass through ``var``: then, and
        only then, others may pass through it too. They cannot list it, and everything in it is closed to them.
        """
        self.var.mkdir(parents=True, exist_ok=True)
        with owned(self.var):
            self.var.chmod(0o711 if os.geteuid() == 0 else 0o700)
            for folder in (self.broker, self.secrets, self.log, self.locks, self.schedule):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Turns "permission denied" below ``folder`` into the sentence that helps."""
    try:
        yield
    except PermissionError as error:
        raise CannotStart(
            f"{error.filename or folder} belongs to another user. Run this as the user who made {folder}."
        ) from error

"""What tells who somebody is: sealed in its row under a key that can be destroyed, and found by keyed digests.

A row that is deleted stays readable in PostgreSQL's heap until VACUUM, in its write-ahead log, its statistics and in
every backup. What is in them of a name or a number opens with the row's own data key only, and is gone with it.
"""

import datetime
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models

from mugsearch.gallery.numbers import normalised
from mugsearch.vault import services as vault
from mugsearch.vault.digests import keyed

BATCH = 5000  # rows in one statement
LOST = "(its data key is lost)"
UNDER_AGE = 18  # years on the day of the booking


def told(name: str, unknown: str | None = "") -> Any:
    """An attribute of a `Sealed` model that is kept in its sealed text. Without the key a text reads as LOST."""

    def get(row: "Sealed") -> Any:
        try:
            return row.identity.get(name, unknown)
        except vault.KeyDestroyed:
            return LOST if unknown == "" else unknown

    def put(row: "Sealed", value: Any) -> None:
        row.identity[name] = value

    return property(get, put)


class Sealed(models.Model):
    """A row with `told` attributes, which are sealed under a data key: as a rule the row's own."""

    TOLD: ClassVar[tuple[str, ...]]  # the names of the attributes
    FOUND_BY: ClassVar[tuple[str, ...]]  # columns that `find_by` writes
    FOUND_FROM: ClassVar[tuple[str, ...]] = ()  # from these columns, too

    sealed = models.BinaryField(editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        names = None if update_fields is None else set(update_fields)
        if names is None or names.intersection((*self.TOLD, *self.FOUND_FROM)):
            self.seal()
            names = names and {*names.difference(self.TOLD), "sealed", *self.FOUND_BY}
        super().save(*args, update_fields=names, **kwargs)

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__.pop("_identity", None)
        super().refresh_from_db(*args, **kwargs)

    @property
    def key_owner(self) -> UUID:
        owner: UUID = self.pk
        return owner

    @property
    def is_readable(self) -> bool:
        """Not while it is being erased, nor when its key is lost: older keys were restored."""
        try:
            _ = self.identity
        except vault.KeyDestroyed:
            return False
        return True

    @property
    def identity(self) -> dict[str, Any]:
        """Opened once per instance. Raises vault.KeyDestroyed where it isn't readable."""
        if "_identity" not in self.__dict__:
            self.__dict__["_identity"] = (
                _read(vault.unseal(self.key_owner, "identity", bytes(self.sealed))) if self.sealed else {}
            )
        found: dict[str, Any] = self.__dict__["_identity"]
        return found

    def seal(self) -> None:
        """Before the row is written; `save` does it."""
        self.sealed = b""
        if any(self.identity.values()):
            self.make_key()
            self.sealed = vault.seal(self.key_owner, "identity", _written(self.identity))
        self.find_by()

    def make_key(self) -> None:
        """It is durable before anything is sealed under it. Harmless where there is one already."""
        vault.create_key(self.key_owner)

    @classmethod
    def create_all(cls, rows: Sequence[Self]) -> None:
        """With one wait of the vault for all their keys."""
        vault.create_keys(row.key_owner for row in rows if any(row.identity.values()))
        for row in rows:
            row.seal()
        cls._default_manager.bulk_create(rows, batch_size=BATCH)

    def find_by(self) -> None:
        """Write the columns of FOUND_BY."""
        raise NotImplementedError


def under_age(born: datetime.date | None, day: datetime.date | None) -> bool | None:
    """Whether somebody was younger than UNDER_AGE on this day, in whole years as people count them."""
    if born is None or day is None:
        return None
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day)) < UNDER_AGE


def of_person(person_id: str) -> str:
    return keyed("mugsearch person id", normalised(person_id).encode())


def of_booking(booking_number: str) -> str:
    return keyed("mugsearch booking number", normalised(booking_number).encode())


def of_name(family_name: str, given_names: str, born: datetime.date | None) -> str:
    """Of the family name, the first given name and the day of birth; empty where no name or no day is recorded."""
    family, given = words(family_name), words(given_names)[:1]
    if born is None or not family + given:
        return ""
    text = "/".join((*family, "", *given, born.isoformat()))
    return keyed("mugsearch name and day of birth", text.encode())


def of_names_in(text: str, born: datetime.date) -> list[str]:
    """Of everybody whom a text can mean, as people write names: "Lee, Ann Mary", "Ann Mary Lee", "Lee Ann"."""
    before, comma, after = text.partition(",")
    if comma:
        pairs = [(before, after)]
    else:
        said = words(text)
        cuts = [(said[:at], said[at:]) for at in range(1, len(said) + 1)]
        pairs = [(" ".join(one), " ".join(other)) for cut in cuts for one, other in (cut, cut[::-1])]
    return sorted({digest for family, given in pairs if (digest := of_name(family, given, born))})


def words(name: str) -> list[str]:
    """Without capitals, accents and signs inside of a word: O'Brien is obrien. Hyphens part words."""
    return re.findall(r"\w+", re.sub(r"['’.]", "", folded(name)))


def folded(text: str) -> str:
    """Without capitals and accents."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def _written(identity: dict[str, Any]) -> bytes:
    return json.dumps(
        {name: value.isoformat() if isinstance(value, datetime.date) else value for name, value in identity.items()}
    ).encode()


def _read(text: bytes) -> dict[str, Any]:
    identity = json.loads(text)
    if born := identity.get("date_of_birth"):
        identity["date_of_birth"] = datetime.date.fromisoformat(born)
    return dict(identity)

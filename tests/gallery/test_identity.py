"""What tells who somebody is stands in no row in plain, is found by what is typed, and ends with its key."""

import datetime

import pytest
from django.db import IntegrityError, connection, transaction

from mugsearch.errors import Unavailable
from mugsearch.gallery import identity
from mugsearch.gallery.models import Booking, Person
from mugsearch.vault import services as vault
from tests.factories import AgencyFactory, BookingFactory, PersonFactory, rename

BORN = datetime.date(1990, 1, 2)
TOLD = {"person_id": "P-4711", "family_name": "Canaryfamily", "given_names": "Canarygiven", "date_of_birth": BORN}


@pytest.mark.django_db
def test_names_numbers_and_day_of_birth_stand_in_no_row_in_plain() -> None:
    booking = BookingFactory(person=PersonFactory(**TOLD), booking_number="CANARY-24-0001")
    with connection.cursor() as cursor:
        for table in ("gallery_person", "gallery_booking"):
            cursor.execute(f"SELECT t::text FROM {table} t")  # noqa: S608  the two names above
            for (row,) in cursor.fetchall():
                for word in ("canary", "4711", "1990-01-02", b"canary".hex(), b"CANARY".hex(), b"4711".hex()):
                    assert word not in row.lower()
    booking = Booking.objects.select_related("person").get()
    assert booking.booking_number == "CANARY-24-0001"
    assert {name: getattr(booking.person, name) for name in TOLD} == TOLD


@pytest.mark.django_db
def test_without_its_key_nobody_reads_who_a_row_was_about() -> None:
    booking = BookingFactory(person=PersonFactory(**TOLD))
    vault.destroy_key(booking.person_id)
    nobody = Person.objects.get()
    assert {str(nobody), nobody.family_name, nobody.person_id} == {identity.LOST}
    assert nobody.date_of_birth is None
    with pytest.raises(vault.KeyDestroyed):
        nobody.family_name = "Other"  # and nothing is written over what a found key would still open
    assert Booking.objects.get().booking_number == booking.booking_number  # it has a key of its own


@pytest.mark.django_db
def test_a_sealed_text_opens_in_its_own_row_only() -> None:
    one, other = PersonFactory(), PersonFactory()
    Person.objects.filter(pk=one.pk).update(sealed=other.sealed)
    with pytest.raises(Unavailable, match="moved"):
        _ = Person.objects.get(pk=one.pk).family_name


@pytest.mark.django_db
def test_a_correction_is_sealed_and_found_and_what_was_before_is_not() -> None:
    person = PersonFactory(**TOLD)
    rename(person.pk, family_name="Other", date_of_birth=datetime.date(1991, 2, 3))
    fresh = Person.objects.get()
    assert (fresh.family_name, fresh.given_names, fresh.birth_year) == ("Other", "Canarygiven", 1991)
    assert (
        fresh.name_digest == identity.of_name("Other", "Canarygiven", datetime.date(1991, 2, 3)) != person.name_digest
    )
    fresh.sex = "F"
    fresh.save(update_fields=["sex"])
    assert Person.objects.get().sealed == fresh.sealed


@pytest.mark.django_db
@pytest.mark.parametrize("spelled", ["p 4711", "P/4711", "P-4711", "P－４７１１"])
def test_another_spelling_of_a_number_is_no_other_person_and_no_other_booking(spelled: str) -> None:
    agency = AgencyFactory()
    PersonFactory(agency=agency, **TOLD)
    BookingFactory(agency=agency, booking_number="P-4711")
    assert Person.objects.identified(spelled).exists()
    for again in (
        lambda: PersonFactory(agency=agency, person_id=spelled),
        lambda: BookingFactory(agency=agency, booking_number=spelled),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            again()


@pytest.mark.parametrize(
    ("family", "given", "typed"),
    [
        ("Lee", "Ann Mary", ["Lee, Ann", "LEE ANN", "ann lee", "Ann Mary Lee", "lee, ann mary"]),
        ("de la O'Cruz", "María José", ["De La OCruz, Maria", "maria de la ocruz", "DE LA O’CRUZ MARIA JOSE"]),
        ("Smith-Jones", "Al", ["smith jones al", "Al Smith-Jones"]),
        ("Núñez", "", ["nunez", "Núñez,"]),
        ("", "Prince", ["prince"]),
    ],
)
def test_a_name_is_found_as_people_write_it(family: str, given: str, typed: list[str]) -> None:
    wanted = identity.of_name(family, given, BORN)
    for text in typed:
        assert wanted in identity.of_names_in(text, BORN), text
        assert wanted not in identity.of_names_in(text, datetime.date(1990, 1, 3))


def test_a_name_of_somebody_else_is_not_found_and_one_without_a_day_of_birth_has_no_digest() -> None:
    assert identity.of_name("Lee", "Ann", BORN) not in identity.of_names_in("Lee, Anna", BORN)
    assert identity.of_name("Lee", "Ann", BORN) not in identity.of_names_in("Ann", BORN)
    assert identity.of_name("Lee", "Ann", None) == identity.of_name("", "", BORN) == ""
    assert identity.of_names_in("  ,", BORN) == []


def test_equal_values_have_unequal_digests_for_unequal_purposes() -> None:
    assert identity.of_person("P-1") != identity.of_booking("P-1")

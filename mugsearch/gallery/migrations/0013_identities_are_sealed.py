"""Names, numbers and days of birth are sealed under the data key of their row, and looked up by keyed digests.

There is no way back: what was destroyed with its key can't be written down again.
"""

import json
from itertools import islice

import django.utils.timezone
from django.db import migrations, models
from django.db.models import Count, Q

from mugsearch.gallery import identity
from mugsearch.vault import services as vault

BATCH = 1000  # keys made with one sync


def seal_all(apps, schema_editor):
    people, bookings = apps.get_model("gallery", "Person"), apps.get_model("gallery", "Booking")
    for person in _with_keys(people.objects.order_by("pk")):
        born = person.date_of_birth
        _seal(
            person,
            person_id=person.person_id,
            family_name=person.family_name,
            given_names=person.given_names,
            date_of_birth=born.isoformat() if born else None,
        )
        person.id_digest = identity.of_person(person.person_id)
        person.name_digest = identity.of_name(person.family_name, person.given_names, born)
        person.birth_year = born.year if born else None
        person.save(update_fields=["sealed", "id_digest", "name_digest", "birth_year"])
    _require_apart(people, "id_digest", "people whose person ids")
    for booking in _with_keys(bookings.objects.select_related("person").order_by("pk")):
        _seal(booking, booking_number=booking.booking_number)
        booking.number_digest = identity.of_booking(booking.booking_number)
        booking.under_age = identity.under_age(booking.person.date_of_birth, booking.booked_on)
        booking.save(update_fields=["sealed", "number_digest", "under_age"])


def _with_keys(rows):
    """The rows, each once its key is durable."""
    found = rows.iterator(chunk_size=BATCH)
    while batch := list(islice(found, BATCH)):
        vault.create_keys(row.pk for row in batch)
        yield from batch


def _require_apart(model, digest, what):
    """Two spellings of one number are one number now; which of two rows is right only people can say."""
    twice = model.objects.values("agency", digest).annotate(rows=Count("pk")).filter(rows__gt=1)
    for one in twice[:1]:
        rows = model.objects.filter(agency=one["agency"], **{digest: one[digest]}).values_list("pk", flat=True)
        raise RuntimeError(
            f"There are {what} differ in their spelling only, such as the rows {', '.join(map(str, rows))}. "
            "Nothing was changed. Give one of them another number, or join them, and migrate again."
        )


def _seal(row, **told):
    row.sealed = vault.seal(row.pk, "identity", json.dumps(told).encode())


class Migration(migrations.Migration):
    dependencies = [("gallery", "0012_sealed_bookings")]
    operations = [
        migrations.AddField("person", "sealed", models.BinaryField(editable=False, default=b"")),
        migrations.AddField("person", "id_digest", models.CharField(max_length=64, editable=False, default="")),
        migrations.AddField(
            "person", "name_digest", models.CharField(max_length=64, blank=True, editable=False, default="")
        ),
        migrations.AddField("person", "birth_year", models.PositiveSmallIntegerField(null=True, editable=False)),
        migrations.AddField(
            "person", "created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)
        ),
        migrations.AddField("booking", "sealed", models.BinaryField(editable=False, default=b"")),
        migrations.AddField("booking", "number_digest", models.CharField(max_length=64, editable=False, default="")),
        migrations.AddField("booking", "under_age", models.BooleanField(null=True, editable=False)),
        migrations.RunPython(seal_all),
        migrations.RemoveIndex("person", "people_by_name"),
        migrations.RemoveIndex("person", "people_by_part_of_name"),
        migrations.RemoveIndex("booking", "bookings_by_day"),
        migrations.RemoveIndex("booking", "bookings_by_part_of_number"),
        migrations.RemoveConstraint("person", "one_person_per_agency_id"),
        migrations.RemoveConstraint("booking", "one_booking_per_number"),
        migrations.AlterModelOptions("person", {"ordering": ["-created_at", "id"], "verbose_name_plural": "people"}),
        migrations.AlterModelOptions("booking", {"ordering": ["-booked_on", "id"]}),
        migrations.RemoveField("person", "told"),
        migrations.RemoveField("person", "person_id"),
        migrations.RemoveField("person", "family_name"),
        migrations.RemoveField("person", "given_names"),
        migrations.RemoveField("person", "date_of_birth"),
        migrations.RemoveField("booking", "booking_number"),
        migrations.RemoveField("booking", "normalised_number"),
        migrations.AlterField("person", "sealed", models.BinaryField(editable=False)),
        migrations.AlterField("person", "id_digest", models.CharField(max_length=64, editable=False)),
        migrations.AlterField("person", "name_digest", models.CharField(max_length=64, blank=True, editable=False)),
        migrations.AlterField("booking", "sealed", models.BinaryField(editable=False)),
        migrations.AlterField("booking", "number_digest", models.CharField(max_length=64, editable=False)),
        migrations.AddConstraint(
            "person", models.UniqueConstraint(fields=["agency", "id_digest"], name="one_person_per_agency_id")
        ),
        migrations.AddConstraint(
            "booking", models.UniqueConstraint(fields=["agency", "number_digest"], name="one_booking_per_number")
        ),
        migrations.AddIndex("person", models.Index(fields=["agency", "-created_at", "id"], name="people_by_time")),
        migrations.AddIndex(
            "person", models.Index(fields=["name_digest"], condition=~Q(name_digest=""), name="people_by_name")
        ),
        migrations.AddIndex("booking", models.Index(fields=["agency", "-booked_on", "id"], name="bookings_by_day")),
    ]

"""What a disposition says of a booking is sealed under a key of its own; an order's booking number is the booking's."""

import json
import uuid
from itertools import islice

from django.db import migrations, models
from django.db.models import Q

from mugsearch import going_back
from mugsearch.retention.disposition_models import report_digest
from mugsearch.vault import services as vault

BATCH = 1000  # keys made with one sync
TOLD = ("booking_number", "court", "order_number")


def seal_all(apps, schema_editor):
    dispositions = apps.get_model("retention", "Disposition").objects
    found = dispositions.order_by("pk").iterator(chunk_size=BATCH)
    while batch := list(islice(found, BATCH)):
        for one in batch:
            one.owner = uuid.uuid4()
        vault.create_keys(one.owner for one in batch)
        for one in batch:
            told = {name: getattr(one, name) for name in TOLD}
            one.sealed = vault.seal(one.owner, "identity", json.dumps(told).encode())
            one.report_digest = report_digest(
                one.number_digest, one.disposition, one.disposed_on, one.court, one.order_number
            )
        dispositions.bulk_update(batch, ["owner", "sealed", "report_digest"])


class Migration(migrations.Migration):
    dependencies = [("retention", "0008_certificates"), ("gallery", "0015_rejected_rows_are_sealed")]
    operations = [
        migrations.AddField("disposition", "owner", models.UUIDField(null=True)),
        migrations.AddField("disposition", "sealed", models.BinaryField(editable=False, default=b"")),
        migrations.AddField("disposition", "report_digest", models.CharField(max_length=64, default="")),
        migrations.RunPython(seal_all, migrations.RunPython.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.RemoveConstraint("disposition", "one_disposition_once"),
        migrations.AlterField(
            "disposition", "owner", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
        ),
        migrations.AlterField("disposition", "sealed", models.BinaryField(editable=False)),
        migrations.AlterField(
            "disposition",
            "report_digest",
            models.CharField(max_length=64, editable=False, help_text="Of all that was reported."),
        ),
        migrations.RemoveField("disposition", "booking_number"),
        migrations.RemoveField("disposition", "court"),
        migrations.RemoveField("disposition", "order_number"),
        migrations.AddConstraint(
            "disposition", models.UniqueConstraint(fields=["agency", "report_digest"], name="one_disposition_once")
        ),
        migrations.RemoveConstraint("expungementorder", "erased_order_names_no_booking"),
        migrations.RemoveField("expungementorder", "booking_number"),
        migrations.AddConstraint(
            "expungementorder",
            models.CheckConstraint(
                condition=~Q(kind="expunge", state__in=["approved", "complete"])
                | Q(booking__isnull=True, erased_at__isnull=False),
                name="erased_order_names_no_booking",
            ),
        ),
        going_back.refused_for("retention_disposition", "what was reported of bookings is sealed, and stays so"),
        going_back.refused_for(
            "retention_expungementorder WHERE booking IS NOT NULL", "the numbers of bookings are sealed, and stay so"
        ),
    ]

"""What names a booking in a rejected row is sealed under a key of the row."""

import json
import uuid
from itertools import islice

from django.db import migrations, models

from mugsearch import going_back
from mugsearch.gallery import identity
from mugsearch.vault import services as vault

BATCH = 1000  # keys made with one sync


def seal_all(apps, schema_editor):
    rejects = apps.get_model("gallery", "ImportReject").objects
    found = rejects.order_by("pk").iterator(chunk_size=BATCH)
    while batch := list(islice(found, BATCH)):
        for reject in batch:
            reject.owner = uuid.uuid4()
        vault.create_keys(reject.owner for reject in batch)
        for reject in batch:
            told = {"photo": reject.photo, "booking_number": reject.booking_number}
            reject.sealed = vault.seal(reject.owner, "identity", json.dumps(told).encode())
            reject.number_digest = identity.of_booking(reject.booking_number) if reject.booking_number else ""
        rejects.bulk_update(batch, ["owner", "sealed", "number_digest"])


class Migration(migrations.Migration):
    dependencies = [("gallery", "0014_since_when_rules_go_by_it")]
    operations = [
        migrations.AddField("importreject", "owner", models.UUIDField(null=True)),
        migrations.AddField("importreject", "sealed", models.BinaryField(editable=False, default=b"")),
        migrations.AddField(
            "importreject", "number_digest", models.CharField(max_length=64, blank=True, editable=False, default="")
        ),
        migrations.RunPython(seal_all, migrations.RunPython.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.AlterField(
            "importreject", "owner", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
        ),
        migrations.AlterField("importreject", "sealed", models.BinaryField(editable=False)),
        migrations.AlterField(
            "importreject", "number_digest", models.CharField(max_length=64, blank=True, editable=False)
        ),
        migrations.RemoveField("importreject", "photo"),
        migrations.RemoveField("importreject", "booking_number"),
        going_back.refused_for("gallery_importreject", "what names bookings in rejected rows is sealed, and stays so"),
    ]

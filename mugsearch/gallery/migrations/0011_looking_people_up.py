"""People are found by any part of a name or number, in a large gallery as fast as in a small one.

pg_trgm comes with PostgreSQL and is a trusted extension: the owner of the database may create it.
"""

import django.contrib.postgres.indexes
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations, models
from django.db.models import Value
from django.db.models.functions import Concat, Upper


class Migration(migrations.Migration):
    dependencies = [("gallery", "0010_quick_lists")]
    operations = [
        TrigramExtension(),
        migrations.AddField(
            model_name="person",
            name="told",
            field=models.GeneratedField(
                db_persist=True,
                expression=Upper(Concat("family_name", Value(" "), "given_names", Value(" "), "person_id")),
                output_field=models.TextField(),
            ),
        ),
        migrations.AddIndex(
            model_name="person",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["told"], name="people_by_part_of_name", opclasses=["gin_trgm_ops"]
            ),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["normalised_number"], name="bookings_by_part_of_number", opclasses=["gin_trgm_ops"]
            ),
        ),
    ]

"""The tables whose names, numbers and notes are sealed now are written anew.

PostgreSQL keeps what a removed column held in every row until that row is written again, and then in the free space of
the page. A certificate says that these rows hold ciphertext only.
"""

from django.db import migrations

TABLES = (
    "gallery_booking",
    "gallery_importreject",
    "gallery_person",
    "retention_disposition",
    "retention_expungementorder",
    "reviews_finding",
)


class Migration(migrations.Migration):
    atomic = False  # VACUUM runs in no transaction
    dependencies = [("retention", "0009_numbers_are_sealed"), ("reviews", "0008_notes_are_sealed")]
    operations = [migrations.RunSQL(f"VACUUM (FULL, ANALYZE) {', '.join(TABLES)}", migrations.RunSQL.noop)]

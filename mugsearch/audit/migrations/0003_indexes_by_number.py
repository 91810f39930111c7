"""Pages of the record are cut by number, newest first: so is every index by which it is filtered.

Without, whoever looks for somebody who left long ago waits until all that came since has been passed over.
"""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]
    operations = [
        migrations.AlterField(model_name="entry", name="actor", field=models.UUIDField(null=True)),
        migrations.AlterField(model_name="entry", name="act", field=models.CharField(max_length=64)),
        migrations.AlterField(model_name="entry", name="object_id", field=models.CharField(blank=True, max_length=64)),
        migrations.AlterField(model_name="entry", name="case", field=models.UUIDField(null=True)),
        migrations.AddIndex("entry", models.Index(fields=["actor", "number"], name="entries_by_actor")),
        migrations.AddIndex("entry", models.Index(fields=["act", "number"], name="entries_by_act")),
        migrations.AddIndex("entry", models.Index(fields=["object_id", "number"], name="entries_by_object")),
        migrations.AddIndex("entry", models.Index(fields=["case", "number"], name="entries_by_case")),
        migrations.AddIndex(
            "entry", models.Index(fields=["number"], condition=~Q(outcome="done"), name="entries_not_done")
        ),
    ]

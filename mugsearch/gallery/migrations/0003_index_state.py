"""The index tells the web processes whether it can answer."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gallery", "0002_whose_photo")]
    operations = [
        migrations.CreateModel(
            name="IndexState",
            fields=[
                (
                    "encoder",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="gallery.encoder",
                    ),
                ),
                (
                    "state",
                    models.CharField(choices=[("ready", "Ready"), ("rebuilding", "Being rebuilt")], max_length=10),
                ),
                ("why", models.CharField(help_text="Code of what made it necessary.", max_length=20)),
                (
                    "trouble",
                    models.CharField(
                        blank=True, help_text="Why it doesn't go on; tried again all the time.", max_length=300
                    ),
                ),
                ("done", models.BigIntegerField(help_text="Vectors in the index.")),
                ("total", models.BigIntegerField()),
                ("begun_with", models.BigIntegerField(help_text="Vectors in the index when it was taken up last.")),
                ("started_at", models.DateTimeField(help_text="When it was taken up last.")),
                ("updated_at", models.DateTimeField(help_text="Last sign of life of whoever rebuilds it.")),
            ],
        )
    ]

"""A probe that has aged out is erased (RULES 29)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("probes", "0014_sealed_places"),
    ]

    operations = [
        migrations.AlterField(
            model_name="probe",
            name="state",
            field=models.CharField(
                choices=[
                    ("received", "Looking for faces"),
                    ("ready", "Faces found"),
                    ("no_face", "No face found"),
                    ("failed", "Failed"),
                    ("erased", "Erased"),
                ],
                default="received",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="probeedit",
            name="state",
            field=models.CharField(
                choices=[
                    ("received", "Looking for faces"),
                    ("ready", "Faces found"),
                    ("no_face", "No face found"),
                    ("failed", "Failed"),
                    ("erased", "Erased"),
                ],
                default="received",
                max_length=8,
            ),
        ),
    ]

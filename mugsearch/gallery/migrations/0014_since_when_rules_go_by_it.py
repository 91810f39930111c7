"""A rule's window begins no earlier than what it goes by was recorded; of what is there already, today."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gallery", "0013_identities_are_sealed")]
    operations = [
        migrations.AddField(
            "booking", "ruled_since", models.DateTimeField(default=django.utils.timezone.now, editable=False)
        ),
        migrations.AddField(
            "booking",
            "unsealed_at",
            models.DateTimeField(editable=False, help_text="By order: no rule seals it again.", null=True),
        ),
    ]

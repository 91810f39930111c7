"""A booking can be sealed: kept, and compared with no more. Few are, so those that are have an index of their own."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("gallery", "0011_looking_people_up")]
    operations = [
        migrations.AddField(
            model_name="booking",
            name="sealed_at",
            field=models.DateTimeField(editable=False, help_text="By an order; empty: not sealed.", null=True),
        ),
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(fields=["sealed_at"], condition=Q(sealed_at__isnull=False), name="bookings_sealed"),
        ),
    ]

"""Who revoked a certificate, and why: its holder is told. Not known of certificates revoked before."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_certificate_programme")]
    operations = [
        migrations.AddField(
            model_name="examinercertificate",
            name="revoked_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="examinercertificate",
            name="revoked_reason",
            field=models.CharField(blank=True, max_length=1000),
        ),
    ]

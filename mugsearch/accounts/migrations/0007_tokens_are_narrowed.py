"""Tokens have a name, scopes and an end. Those made without are gone: they lasted 12 hours at most."""

import uuid

from django.conf import settings
from django.db import migrations, models

OLD = "DROP TABLE IF EXISTS knox_authtoken"
# A version without ours makes its table by the migrations of the package, from the first on.
ITS_OWN = "DELETE FROM django_migrations WHERE app = 'knox'"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_sittings")]
    operations = [
        migrations.CreateModel(
            "ApiToken",
            [
                ("digest", models.CharField(max_length=128, primary_key=True, serialize=False)),
                ("token_key", models.CharField(db_index=True, max_length=25)),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("expiry", models.DateTimeField(blank=True, null=True)),
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=60)),
                ("scopes", models.JSONField(help_text="See accounts.scopes.")),
                ("used_at", models.DateTimeField(editable=False, help_text="To five minutes.", null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=models.CASCADE, related_name="auth_token_set", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={"ordering": ["-created"]},
        ),
        migrations.AddConstraint(
            "apitoken",
            models.CheckConstraint(condition=models.Q(expiry__isnull=False), name="every_token_expires"),
        ),
        migrations.RunSQL(OLD, ITS_OWN),
    ]

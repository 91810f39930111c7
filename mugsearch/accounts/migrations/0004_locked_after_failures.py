import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from mugsearch import going_back


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_who_revoked_a_certificate")]

    operations = [
        migrations.AddField(
            "user",
            "locked_at",
            models.DateTimeField(editable=False, help_text="After too many failures; see signing.", null=True),
        ),
        migrations.CreateModel(
            name="SignInFailure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="failures",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        going_back.refused_for(
            "accounts_user WHERE locked_at IS NOT NULL", "somebody is locked, and would be let in again"
        ),
    ]

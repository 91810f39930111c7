import django.utils.timezone
from django.db import migrations, models

# The record knows of people from before. Tokens of then left no mark on their owner, who may have used nothing else and
# would be idle; and a password is as old as it is, also in a backup of then that is restored.
FILL = """
UPDATE accounts_user person SET
    last_login = greatest(last_login, (
        SELECT max(at) FROM audit_entry WHERE act = 'token.made' AND outcome = 'done' AND actor = person.id)),
    enabled_at = (
        SELECT max(at) FROM audit_entry
        WHERE object_id = person.id::text AND act = 'user.enabled' AND outcome = 'done'),
    password_set_at = coalesce((
        SELECT max(at) FROM audit_entry
        WHERE object_id = person.id::text AND act = 'user.password-set' AND outcome = 'done'), created_at)
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_tokens_are_narrowed"), ("audit", "0003_indexes_by_number")]
    operations = [
        migrations.AddField(
            "user", "password_set_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)
        ),
        migrations.AddField("user", "enabled_at", models.DateTimeField(editable=False, null=True)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]

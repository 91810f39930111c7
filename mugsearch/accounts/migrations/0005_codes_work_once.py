from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_locked_after_failures")]

    operations = [
        migrations.AddField("user", "code_step", models.BigIntegerField(default=0, editable=False)),
    ]

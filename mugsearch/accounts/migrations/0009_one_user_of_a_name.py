"""Bob and bob are one name: whoever signs in is looked up whatever the case of the letters."""

from django.core.management.base import CommandError
from django.db import migrations, models
from django.db.models import Count
from django.db.models.functions import Upper


def refuse_twice(apps, schema_editor):
    users = apps.get_model("accounts", "User").objects.order_by()
    twice = users.values(name=Upper("username")).annotate(times=Count("pk")).filter(times__gt=1)
    if names := sorted(users.filter(username__iexact=one["name"]).values_list("username", flat=True) for one in twice):
        told = "; ".join(" and ".join(sorted(found)) for found in names)
        raise CommandError(
            f"User names that differ in the case of letters only are one name now: {told}. Rename all but one in the "
            "column username of public.accounts_user, as the owner of the tables, and do this again."
        )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_since_when")]
    operations = [
        migrations.RunPython(refuse_twice, migrations.RunPython.noop),
        migrations.AddConstraint("user", models.UniqueConstraint(Upper("username"), name="one_user_of_a_name")),
    ]

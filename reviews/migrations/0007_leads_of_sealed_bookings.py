"""A lead is withdrawn when the booking behind it is sealed, too, and stays so when it is unsealed."""

from django.db import migrations, models
from django.db.models import Q


def constraint(*by_order: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(withdrawn_at__isnull=True, withdrawn_why="", withdrawn_by__isnull=True, withdrawn_reason="")
        | Q(
            withdrawn_at__isnull=False,
            withdrawn_why__in=list(by_order),
            withdrawn_by__isnull=True,
            withdrawn_reason="",
        )
        | Q(withdrawn_at__isnull=False, withdrawn_why="certificate", withdrawn_by__isnull=False)
        & ~Q(withdrawn_reason=""),
        name="withdrawn_lead_says_why",
    )


class Migration(migrations.Migration):
    dependencies = [("reviews", "0006_trials_make_no_leads")]
    operations = [
        migrations.RemoveConstraint(model_name="lead", name="withdrawn_lead_says_why"),
        migrations.AlterField(
            model_name="lead",
            name="withdrawn_why",
            field=models.CharField(
                blank=True,
                choices=[
                    ("expunged", "The booking behind it was expunged"),
                    ("sealed", "The booking behind it was sealed"),
                    ("certificate", "An examiner's certificate was not valid"),
                ],
                max_length=11,
            ),
        ),
        migrations.AddConstraint(model_name="lead", constraint=constraint("expunged", "sealed")),
    ]

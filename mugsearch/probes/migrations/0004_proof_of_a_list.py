"""What proves that nobody is missing on a list.

Until now every photograph was scored from its full vector, which is what "all were compared in full precision" says.
"""

from django.db import migrations, models
from django.db.models import F, Q

FILL = """
ALTER TABLE probes_search DISABLE TRIGGER probes_search_stays;
UPDATE probes_search SET scanned = gallery_size, rescored = gallery_size, depth = COALESCE(depth, gallery_size)
    WHERE state = 'done';
ALTER TABLE probes_search ENABLE TRIGGER probes_search_stays;
"""


class Migration(migrations.Migration):
    dependencies = [("probes", "0003_narrowed_searches")]
    operations = [
        migrations.AddField(
            model_name="search",
            name="scanned",
            field=models.PositiveIntegerField(null=True, help_text="Photographs compared: those the filters left."),
        ),
        migrations.AddField(
            model_name="search",
            name="rescored",
            field=models.PositiveIntegerField(null=True, help_text="Of them, compared in full precision."),
        ),
        migrations.AddField(
            model_name="search",
            name="ceiling",
            field=models.FloatField(null=True, help_text="No other photograph can score above it; empty: no others."),
        ),
        migrations.AlterField(
            model_name="search",
            name="gallery_size",
            field=models.PositiveIntegerField(null=True, help_text="Photographs in the index."),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="search", name="finished_search_says_what_it_searched"),
        migrations.AddConstraint(
            model_name="search",
            constraint=models.CheckConstraint(
                condition=~Q(state="done")
                | Q(encoder__isnull=False, generation__isnull=False, gallery_size__isnull=False, depth__isnull=False),
                name="finished_search_says_what_it_searched",
            ),
        ),
        migrations.AddConstraint(
            model_name="search",
            constraint=models.CheckConstraint(
                condition=~Q(state="done")
                | Q(scanned__isnull=False, rescored__isnull=False)
                & Q(scanned__lte=F("gallery_size"), rescored__lte=F("scanned"))
                & (Q(ceiling__isnull=False) | Q(rescored=F("scanned"))),
                name="finished_search_proves_its_list",
            ),
        ),
    ]

"""What a search was narrowed to is part of what was asked for, so it stays."""

from django.db import migrations, models

STAYS = """
DROP TRIGGER probes_search_stays ON probes_search;
CREATE TRIGGER probes_search_stays BEFORE UPDATE ON probes_search FOR EACH ROW
    WHEN (OLD.state = 'done' OR (NEW.id, NEW.probe_id, NEW.requested_by_id, NEW.face, NEW.list_size{new})
        IS DISTINCT FROM (OLD.id, OLD.probe_id, OLD.requested_by_id, OLD.face, OLD.list_size{old}))
    EXECUTE FUNCTION probes_refuse('a search stays what was asked for, and a finished one stays as it is');
"""


class Migration(migrations.Migration):
    dependencies = [("probes", "0002_candidates_stay")]
    operations = [
        migrations.AddField(
            model_name="search",
            name="filters",
            field=models.JSONField(default=dict, help_text="What it is narrowed to, as probes.filters writes it."),
        ),
        migrations.RunSQL(STAYS.format(new=", NEW.filters", old=", OLD.filters"), STAYS.format(new="", old="")),
    ]

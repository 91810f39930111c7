"""Which entries are in a file outside. A span that doesn't continue the one before it, or isn't what the table holds,
or is younger than a year, is refused."""

from django.db import migrations, models
from django.db.models import F, Q

from mugsearch import going_back

# search_path: no table of the caller's own may stand in for one of these.
FORWARD = """
CREATE FUNCTION audit_require_span() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    before audit_archivedspan;
BEGIN
    SELECT * INTO before FROM audit_archivedspan ORDER BY first DESC LIMIT 1;
    IF NEW.first <> coalesce(before.last, 0) + 1
        OR NEW.previous <> coalesce(before.digest, repeat('0', 64))
        OR NOT EXISTS (SELECT FROM audit_entry WHERE number = NEW.first AND previous = NEW.previous)
        OR NEW.chain <> coalesce(before.chain, (SELECT digest FROM audit_entry WHERE number = 1))
        OR NOT EXISTS (SELECT FROM audit_entry WHERE number = NEW.last AND digest = NEW.digest)
        OR (SELECT max(at) FROM audit_entry WHERE number <= NEW.last) > now() - interval '365 days'
    THEN
        RAISE EXCEPTION 'the entries % to % can''t be archived', NEW.first, NEW.last USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_archivedspan_fits BEFORE INSERT ON audit_archivedspan
    FOR EACH ROW EXECUTE FUNCTION audit_require_span();
CREATE TRIGGER audit_archivedspan_append_only BEFORE UPDATE OR DELETE ON audit_archivedspan
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_archivedspan_no_truncate BEFORE TRUNCATE ON audit_archivedspan
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
"""
BACKWARD = """
DROP TRIGGER audit_archivedspan_no_truncate ON audit_archivedspan;
DROP TRIGGER audit_archivedspan_append_only ON audit_archivedspan;
DROP TRIGGER audit_archivedspan_fits ON audit_archivedspan;
DROP FUNCTION audit_require_span();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_signed_heads")]
    operations = [
        migrations.CreateModel(
            name="ArchivedSpan",
            fields=[
                ("first", models.BigIntegerField(primary_key=True, serialize=False)),
                ("last", models.BigIntegerField(unique=True)),
                ("previous", models.CharField(max_length=64)),
                ("digest", models.CharField(max_length=64)),
                ("chain", models.CharField(max_length=64)),
                ("file", models.CharField(help_text="Its name, made of the numbers.", max_length=64)),
                ("sha256", models.CharField(max_length=64)),
                ("bytes", models.BigIntegerField()),
                ("head", models.TextField()),
                ("recorded_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["first"],
                "constraints": [
                    models.CheckConstraint(condition=Q(last__gte=F("first")), name="span_holds_entries"),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        going_back.refused_for(
            "audit_archivedspan", "entries were archived, and only this says which are in what file"
        ),
    ]

"""What misuse signals pointed at, and searches drawn at random. PostgreSQL refuses any change."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from mugsearch import going_back

FORWARD = """
CREATE FUNCTION auditing_sightings_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a signal pointed at is neither changed nor deleted' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER auditing_draw_stays BEFORE UPDATE OR DELETE ON auditing_draw
    FOR EACH ROW EXECUTE FUNCTION auditing_sightings_stay();
CREATE TRIGGER auditing_draw_no_truncate BEFORE TRUNCATE ON auditing_draw
    FOR EACH STATEMENT EXECUTE FUNCTION auditing_sightings_stay();
CREATE TRIGGER auditing_sighting_stays BEFORE UPDATE OR DELETE ON auditing_sighting
    FOR EACH ROW EXECUTE FUNCTION auditing_sightings_stay();
CREATE TRIGGER auditing_sighting_no_truncate BEFORE TRUNCATE ON auditing_sighting
    FOR EACH STATEMENT EXECUTE FUNCTION auditing_sightings_stay();
"""
BACKWARD = "DROP FUNCTION auditing_sightings_stay() CASCADE"


class Migration(migrations.Migration):
    dependencies = [
        ("probes", "0015_erased_probes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name='Draw',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('policy_digest', models.CharField(help_text='SHA-256 of the policy whose thresholds were used.', max_length=64)),
                ('searches', models.PositiveIntegerField(help_text='Of casework, requested on that day.')),
            ],
            options={
                'ordering': ['-day'],
            },
        ),
        migrations.CreateModel(
            name='Sighting',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('signal', models.CharField(help_text='A name of auditing.signals.SIGNALS.', max_length=32)),
                ('week', models.DateField(help_text='The Monday of the week it belongs to.')),
                ('key', models.CharField(help_text='SHA-256 of what it points at: once a week is enough.', max_length=64)),
                ('count', models.PositiveIntegerField()),
                ('usual', models.FloatField(help_text='What the count is compared with, where there is something.', null=True)),
                ('searches', models.JSONField(default=list, help_text='Ids of searches it rests on, at most 50.')),
                ('actor', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('case', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='probes.case')),
                ('draw', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='sightings', to='auditing.draw')),
                ('other', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('search', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='probes.search')),
            ],
            options={
                'ordering': ['week', 'signal', 'key'],
            },
        ),
        migrations.AddIndex(
            model_name='sighting',
            index=models.Index(fields=['week'], name='sightings_by_week'),
        ),
        migrations.AddConstraint(
            model_name='sighting',
            constraint=models.UniqueConstraint(fields=('signal', 'key', 'week'), name='one_sighting_a_week'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        going_back.refused_for("auditing_draw", "what signals pointed at is on record"),
    ]

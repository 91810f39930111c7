"""Photographs to try examiners with, and the trials."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


RULES = """
CREATE FUNCTION trials_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER trials_trial_stays BEFORE UPDATE ON trials_trial FOR EACH ROW
    WHEN (OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL
        OR (NEW.id, NEW.agency_id, NEW.kind, NEW.photo_id, NEW.mate_rank, NEW.prepared_by_id, NEW.prepared_at)
        IS DISTINCT FROM
        (OLD.id, OLD.agency_id, OLD.kind, OLD.photo_id, OLD.mate_rank, OLD.prepared_by_id, OLD.prepared_at))
    EXECUTE FUNCTION trials_refuse('a trial is closed once, nothing else of it changes');
CREATE TRIGGER trials_trial_no_delete BEFORE DELETE ON trials_trial FOR EACH ROW
    EXECUTE FUNCTION trials_refuse('a trial is closed, never deleted');
CREATE TRIGGER trials_trial_no_truncate BEFORE TRUNCATE ON trials_trial FOR EACH STATEMENT
    EXECUTE FUNCTION trials_refuse('a trial is closed, never deleted');

CREATE TRIGGER trials_subject_stays BEFORE UPDATE ON trials_subject FOR EACH ROW
    WHEN (OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL
        OR (NEW.id, NEW.agency_id, NEW.code, NEW.consent, NEW.reference, NEW.added_by_id, NEW.added_at)
        IS DISTINCT FROM
        (OLD.id, OLD.agency_id, OLD.code, OLD.consent, OLD.reference, OLD.added_by_id, OLD.added_at))
    EXECUTE FUNCTION trials_refuse('a subject is withdrawn once, nothing else of it changes');
CREATE TRIGGER trials_subject_no_delete BEFORE DELETE ON trials_subject FOR EACH ROW
    EXECUTE FUNCTION trials_refuse('a subject is withdrawn, never deleted');
CREATE TRIGGER trials_subject_no_truncate BEFORE TRUNCATE ON trials_subject FOR EACH STATEMENT
    EXECUTE FUNCTION trials_refuse('a subject is withdrawn, never deleted');
"""
BACK = """
DROP FUNCTION trials_refuse() CASCADE;
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0002_certificate_programme'),
        ('gallery', '0011_looking_people_up'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Subject',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('code', models.CharField(help_text="The agency's own name for the subject. Not a person's.", max_length=64)),
                ('consent', models.CharField(choices=[('consenting', 'Gave consent'), ('synthetic', 'Synthetic: nobody real')], max_length=10)),
                ('reference', models.CharField(help_text='Where the consent is kept, or who made it.', max_length=300)),
                ('added_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('withdrawn_at', models.DateTimeField(null=True)),
                ('added_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('agency', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.agency')),
                ('withdrawn_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['code'],
            },
        ),
        migrations.CreateModel(
            name='TrialPhoto',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('sha256', models.CharField(blank=True, help_text='Of the file as it was received.', max_length=64)),
                ('format', models.CharField(max_length=16)),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('received', 'Looking for the face'), ('ready', 'Ready'), ('unsuitable', 'Unsuitable'), ('failed', 'Failed'), ('erased', 'Erased')], default='received', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('received_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('tried_at', models.DateTimeField(null=True)),
                ('trouble', models.CharField(blank=True, max_length=300)),
                ('face', models.JSONField(help_text='engine.encoders.Face.to_dict()', null=True)),
                ('quality', models.JSONField(default=dict)),
                ('sealed_vector', models.BinaryField(help_text="float32, L2-normalised, sealed under the photo's key.", null=True)),
                ('encoder', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='gallery.encoder')),
                ('subject', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='photos', to='trials.subject')),
            ],
            options={
                'ordering': ['received_at', 'id'],
            },
        ),
        migrations.CreateModel(
            name='Trial',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('mated', 'Mated: the person is on the list'), ('non_mated', 'Non-mated: the person is not on the list'), ('look_alike', 'Look-alike: not on the list, but the most similar others are')], max_length=10)),
                ('mate_rank', models.PositiveSmallIntegerField(help_text='Where on the list the person is.', null=True)),
                ('prepared_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('closed_at', models.DateTimeField(null=True)),
                ('agency', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.agency')),
                ('closed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('prepared_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('photo', models.ForeignKey(help_text='Searched with.', on_delete=django.db.models.deletion.PROTECT, related_name='trials', to='trials.trialphoto')),
            ],
            options={
                'ordering': ['-prepared_at', 'id'],
            },
        ),
        migrations.AddConstraint(
            model_name='subject',
            constraint=models.UniqueConstraint(fields=('agency', 'code'), name='one_trial_subject_per_code'),
        ),
        migrations.AddConstraint(
            model_name='subject',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reference', ''), _negated=True), models.Q(('code', ''), _negated=True)), name='trial_subject_says_by_what_right'),
        ),
        migrations.AddConstraint(
            model_name='subject',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('withdrawn_at__isnull', True), ('withdrawn_by__isnull', True)), models.Q(('withdrawn_at__isnull', False), ('withdrawn_by__isnull', False)), _connector='OR'), name='withdrawn_trial_subject_says_by_whom'),
        ),
        migrations.AddConstraint(
            model_name='trialphoto',
            constraint=models.UniqueConstraint(condition=models.Q(('sha256', ''), _negated=True), fields=('sha256',), name='one_trial_photo_per_file'),
        ),
        migrations.AddConstraint(
            model_name='trialphoto',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'ready'), _negated=True), models.Q(('encoder__isnull', False), ('face__isnull', False), ('sealed_vector__isnull', False), models.Q(('sha256', ''), _negated=True)), _connector='OR'), name='ready_trial_photo_has_a_face'),
        ),
        migrations.AddConstraint(
            model_name='trialphoto',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'erased'), _negated=True), models.Q(('face__isnull', True), ('sealed_vector__isnull', True), ('sha256', '')), _connector='OR'), name='erased_trial_photo_is_empty'),
        ),
        migrations.AddConstraint(
            model_name='trial',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'mated'), ('mate_rank__isnull', False)), models.Q(('kind__in', ['non_mated', 'look_alike']), ('mate_rank__isnull', True)), _connector='OR'), name='trial_answer_is_known'),
        ),
        migrations.AddConstraint(
            model_name='trial',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', True), ('closed_by__isnull', True)), models.Q(('closed_at__isnull', False), ('closed_by__isnull', False)), _connector='OR'), name='closed_trial_says_by_whom'),
        ),
        migrations.RunSQL(RULES, BACK),
    ]

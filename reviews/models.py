"""Examinations of finished searches by two people, their findings, and the leads that come of them.

The queue is no table: it is a query over finished searches (`queries.awaiting_examination`).
"""

import secrets
import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.gallery.identity import Sealed, told
from mugsearch.probes.models import Candidate, Search
from mugsearch.vault.services import KeyDestroyed
from reviews import worksheet
from reviews.worksheet import Worksheet


def new_secret() -> bytes:
    return secrets.token_bytes(32)


class ExaminationQuerySet(models.QuerySet["Examination"]):
    def visible_to(self, user: User) -> "ExaminationQuerySet":
        """One's own, and nobody else's: not even that they exist."""
        if not user.has_role(Role.EXAMINER):
            return self.none()
        return self.filter(examiner=user)

    def open_to(self, supervisor: User) -> "ExaminationQuerySet":
        """Those a supervisor may free: others', of the agency, of no case the supervisor is or was on.

        Whoever works on a case must not learn who examines it, nor choose them by freeing until the right one claims.
        """
        if not supervisor.has_role(Role.SUPERVISOR):
            return self.none()
        agency = self.filter(state=Examination.State.CLAIMED, search__probe__case__agency=supervisor.agency_id)
        # Nor of a search they examine or examined: who holds the other place is not for them to know or to free.
        examined = Search.objects.filter(examinations__examiner=supervisor)
        return agency.exclude(search__in=examined).exclude(search__probe__case__memberships__user=supervisor)

    def held(self) -> "ExaminationQuerySet":
        """Those that take one of a search's places: claimed or concluded."""
        return self.exclude(state=Examination.State.RELEASED)

    def concluded(self) -> "ExaminationQuerySet":
        return self.filter(state=Examination.State.CONCLUDED)


class Examination(models.Model):
    """One examiner's own look at one search.

    CLAIMED --conclude--> CONCLUDED (locked for everyone)
            --release---> RELEASED  (given back to the queue; what was found so far stays for the record)
            --free------> RELEASED  (the same, by a supervisor)
            --expire----> RELEASED  (the same, because nobody worked on it for the policy's claim_hours)

    PostgreSQL refuses (migrations 0002 and 0004): an examiner who submitted the probe, requested the search or is on
    the case, one without a valid certificate, a third place without an Adjudication, an end with candidates or
    worksheets left over, any other change, deletion.
    """

    class State(models.TextChoices):
        CLAIMED = "claimed", "Claimed"
        CONCLUDED = "concluded", "Concluded"
        RELEASED = "released", "Given back"

    class Release(models.TextChoices):
        GIVEN_BACK = "given_back", "Given back"
        FREED = "freed", "Freed by a supervisor"
        EXPIRED = "expired", "Not worked on in time"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    search = models.ForeignKey(Search, on_delete=models.PROTECT, related_name="examinations")
    examiner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="examinations")
    state = models.CharField(max_length=9, choices=State, default=State.CLAIMED)
    # Orders this examiner's candidates; so two orders tell nothing of each other or of the ranks.
    secret = models.BinaryField(default=new_secret, editable=False)
    claimed_at = models.DateTimeField(default=timezone.now, editable=False)
    concluded_at = models.DateTimeField(null=True)
    release = models.CharField(max_length=10, choices=Release, blank=True, help_text="How it went back to the queue.")
    released_at = models.DateTimeField(null=True)

    objects: ClassVar = ExaminationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["claimed_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["search", "examiner"], condition=~Q(state="released"), name="one_examination_per_examiner"
            ),
            models.CheckConstraint(
                condition=Q(state="concluded", concluded_at__isnull=False)
                | Q(state__in=["claimed", "released"], concluded_at__isnull=True),
                name="concluded_has_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state="released", released_at__isnull=False, release__in=["given_back", "freed", "expired"])
                | Q(state__in=["claimed", "concluded"], released_at__isnull=True, release=""),
                name="released_says_how_and_when",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Adjudication(models.Model):
    """Two examinations that disagree: a third person examines the search, as blind as they were.

    PostgreSQL refuses (migration 0004) one for a search whose two examinations agree or are not concluded, any change,
    deletion.
    """

    search = models.OneToOneField(Search, on_delete=models.PROTECT, primary_key=True, related_name="adjudication")
    opened_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return str(self.search_id)


class Finding(Sealed):
    """What one examiner concluded on one candidate; a draft while it has no conclusion.

    What was written and drawn describes a face: it is sealed under the data key of the photograph, and goes with it.

    PostgreSQL refuses (migrations 0002 and 0004) a change unless the examination is claimed, and to conclude that while
    a draft is left, or a positive conclusion without its worksheet.
    """

    class Conclusion(models.TextChoices):
        """Seven grades (Phillips et al., PNAS 2018), and two for what can't be graded."""

        DIFFERENT_3 = "-3", "−3, strong support for different people"
        DIFFERENT_2 = "-2", "−2, support for different people"
        DIFFERENT_1 = "-1", "−1, some support for different people"
        NEITHER = "0", "0, supports neither"
        SAME_1 = "1", "+1, some support for the same person"
        SAME_2 = "2", "+2, support for the same person"
        SAME_3 = "3", "+3, strong support for the same person"
        NO_CONCLUSION = "no_conclusion", "No conclusion"
        UNSUITABLE = "unsuitable", "Unsuitable for comparison"

    # What was concluded before there were grades is locked, so it stays as it was said. It rates nothing.
    UNGRADED: ClassVar = {"same": "Same person", "different": "Different people", "inconclusive": "Inconclusive"}
    EXCLUDED: ClassVar = Conclusion.DIFFERENT_3  # what "exclude all remaining" says

    NOTES_LIMIT: ClassVar = 4000
    TOLD = ("notes", "worksheet")
    FOUND_BY = ("owner", "said")

    notes = told("notes")
    written = told("written", None)  # on the worksheet, by component: notes and marks

    examination = models.ForeignKey(Examination, on_delete=models.PROTECT, related_name="findings")
    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="findings")
    conclusion = models.CharField(max_length=13, choices=Conclusion, blank=True)
    owner = models.UUIDField(null=True, editable=False, help_text="Of the data key; empty while nothing is sealed.")
    # The codes stay readable, so that PostgreSQL sees whether a worksheet is filled in.
    said = models.JSONField(default=dict, blank=True, db_column="worksheet", editable=False)
    saved_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["examination", "candidate"], name="one_finding_per_candidate"),
            models.CheckConstraint(
                condition=Q(conclusion__in=["-3", "-2", "-1", "0", "1", "2", "3", "no_conclusion", "unsuitable"])
                | Q(conclusion__in=["", "same", "different", "inconclusive"]),
                name="finding_conclusion_known",
            ),
        ]

    def __str__(self) -> str:
        return self.conclusion

    @property
    def worksheet(self) -> Worksheet:
        return worksheet.joined(self.said, self.written or {})

    @worksheet.setter
    def worksheet(self, filled: Worksheet) -> None:
        self.said, self.written = worksheet.parted(filled)

    @property
    def key_owner(self) -> uuid.UUID:
        """Where there is none yet, of the photograph that the examiner looks at."""
        if self.owner is None:
            photo, trial_photo = self.candidate.photo, self.candidate.trial_photo_id
            owner: uuid.UUID | None = photo.booking_id if photo else trial_photo
            if owner is None:
                raise KeyDestroyed("Whom this describes was expunged or sealed.")
            self.owner = owner
        return self.owner

    def make_key(self) -> None:
        """None: of a photograph whose key is lost or destroyed nothing is written, and no other key takes its place."""

    def find_by(self) -> None:
        if not self.sealed:
            self.owner = None

    @property
    def label(self) -> str:
        return Finding.label_of(self.conclusion)

    @property
    def rating(self) -> int | None:
        return Finding.rating_of(self.conclusion)

    @staticmethod
    def label_of(conclusion: str) -> str:
        """As people read it; empty for an empty one."""
        return str(dict(Finding.Conclusion.choices).get(conclusion) or Finding.UNGRADED.get(conclusion, ""))

    @staticmethod
    def rating_of(conclusion: str) -> int | None:
        """-3 … 3; None where nothing is rated."""
        return int(conclusion) if conclusion in GRADES else None


GRADES = [value for value in Finding.Conclusion.values if value.lstrip("-").isdigit()]


class LeadQuerySet(models.QuerySet["Lead"]):
    def visible_to(self, user: User) -> "LeadQuerySet":
        """Investigators see the leads of the cases they are on."""
        return self.filter(search__in=Search.objects.visible_to(user))


class Lead(models.Model):
    """A candidate that two examiners confirmed separately. An investigative lead, nothing more (RULES 18).

    `first` and `second` are the two that confirm; where a third was needed, one of the three says otherwise.
    PostgreSQL refuses (migration 0004) a lead whose two examinations are not of this search, concluded, by different
    people and rate this candidate, and nobody else, as high as the policy of the search asks; any change but being
    withdrawn once (migration 0005); deletion.
    """

    class Why(models.TextChoices):
        EXPUNGED = "expunged", "The booking behind it was expunged"
        SEALED = "sealed", "The booking behind it was sealed"
        CERTIFICATE = "certificate", "An examiner's certificate was not valid"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    search = models.OneToOneField(Search, on_delete=models.PROTECT, related_name="lead")
    candidate = models.OneToOneField(Candidate, on_delete=models.PROTECT, related_name="lead")
    first = models.ForeignKey(Examination, on_delete=models.PROTECT, related_name="+")
    second = models.ForeignKey(Examination, on_delete=models.PROTECT, related_name="+")
    released_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_why = models.CharField(max_length=11, choices=Why, blank=True)
    # A supervisor withdraws with a reason. An expungement or a sealing needs none here: it has an order.
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    withdrawn_reason = models.TextField(max_length=1000, blank=True)

    objects: ClassVar = LeadQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-released_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(first=F("second")), name="lead_needs_two_examinations"),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True, withdrawn_why="", withdrawn_by__isnull=True, withdrawn_reason="")
                | Q(
                    withdrawn_at__isnull=False,
                    withdrawn_why__in=["expunged", "sealed"],
                    withdrawn_by__isnull=True,
                    withdrawn_reason="",
                )
                | Q(withdrawn_at__isnull=False, withdrawn_why="certificate", withdrawn_by__isnull=False)
                & ~Q(withdrawn_reason=""),
                name="withdrawn_lead_says_why",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class LeadView(models.Model):
    """Who has opened a lead: once while it stood, once more after it was withdrawn, which says that they know.

    PostgreSQL refuses change and deletion (migration 0005), and a second look that was none.
    """

    lead = models.ForeignKey(Lead, on_delete=models.PROTECT, related_name="views")
    viewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    withdrawn = models.BooleanField(help_text="Whether the lead was withdrawn when it was opened.")
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["lead", "viewer", "withdrawn"], name="one_first_look_per_viewer"),
        ]

    def __str__(self) -> str:
        return f"{self.lead_id} opened"


class Evidence(models.Model):
    """Independent evidence for a lead: what opens the line-up export (RULES 19).

    PostgreSQL refuses change and deletion, and evidence for a lead that is withdrawn (migration 0005).
    """

    SOURCE_LIMIT: ClassVar = 2000

    lead = models.ForeignKey(Lead, on_delete=models.PROTECT, related_name="evidence")
    kind = models.CharField(max_length=40, help_text="A code of the policy; what it means is in mugsearch/policy.toml.")
    source = models.TextField(max_length=SOURCE_LIMIT, help_text="Where it comes from and what it says.")
    obtained_on = models.DateField()
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=timezone.now, editable=False)
    attested_at = models.DateTimeField(help_text="When it was attested that it does not come from face recognition.")

    class Meta:
        ordering: ClassVar = ["recorded_at", "id"]
        verbose_name_plural = "evidence"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(kind="") & ~Q(source=""), name="evidence_says_what_and_whence"),
        ]

    def __str__(self) -> str:
        return self.kind


class LeadOutcome(models.Model):
    """What became of a lead, as the investigator says. A later row corrects the earlier ones: the latest counts.

    PostgreSQL refuses change and deletion (migration 0005).
    """

    class Outcome(models.TextChoices):
        CONFIRMED = "confirmed_by_other_evidence", "Confirmed by other evidence"
        FALSE = "false_lead", "False lead: it was somebody else"
        NO_USE = "no_use", "Of no use to the case"
        CLOSED = "closed_without_result", "Closed without a result"

    NOTE_LIMIT: ClassVar = 4000

    lead = models.ForeignKey(Lead, on_delete=models.PROTECT, related_name="outcomes")
    outcome = models.CharField(max_length=27, choices=Outcome)
    note = models.TextField(max_length=NOTE_LIMIT, blank=True)
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        # By id, which follows the lock on the lead: two clocks could name the wrong one as the latest.
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(
                    outcome__in=["confirmed_by_other_evidence", "false_lead", "no_use", "closed_without_result"]
                ),
                name="lead_outcome_known",
            ),
        ]

    def __str__(self) -> str:
        return self.outcome


class FalseLeadSeen(models.Model):
    """An examiner has opened the examination whose lead was found false, so the queue need not tell it any more.

    PostgreSQL refuses change and deletion (migration 0005).
    """

    outcome = models.ForeignKey(LeadOutcome, on_delete=models.PROTECT, related_name="seen")
    examination = models.ForeignKey(Examination, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["outcome", "examination"], name="false_lead_seen_once"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome_id} seen"


class Lineup(models.Model):
    """What was exported from a lead: which photographs at which places, so that it can be disclosed.

    The photographs are named by id and not by foreign key: an expungement leaves a place without a photograph, and is
    not held up by the line-up. PostgreSQL refuses change and deletion, and a line-up of a lead that is withdrawn or
    has no evidence (migration 0005).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    lead = models.ForeignKey(Lead, on_delete=models.PROTECT, related_name="lineups")
    photos = models.JSONField(help_text="Ids of the photographs, in the order of the places.")
    candidate_place = models.PositiveSmallIntegerField(help_text="Where the lead's candidate is, from 1.")
    exported_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    exported_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-exported_at"]

    def __str__(self) -> str:
        return str(self.id)

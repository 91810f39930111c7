"""./run manage find_duplicates: the same face under two person numbers, for records staff to look into."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mugsearch import spreadsheet
from mugsearch.accounts.models import Agency
from mugsearch.errors import MugsearchError
from mugsearch.gallery import duplicates, encoding
from mugsearch.gallery.management.progress_line import ProgressCommand
from mugsearch.gallery.models import Photo, Template

# OpenCV calls faces of SFace the same from 0.363 on; among all pairs of a gallery that would be a list without end.
ALIKE = 0.6
HEADING = ("score", "person_id", "booking_number", "photo", "other_person_id", "other_booking_number", "other_photo")


class Command(ProgressCommand):
    help = (
        "List pairs of photographs of different person numbers of one agency whose faces are much alike, as CSV. "
        "A pair is a reason to look at both records, never a finding: twins and errors are among them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--agency", required=True, help="code of the agency whose records are looked through")
        parser.add_argument(
            "--score", type=float, default=ALIKE, help=f"the least cosine of a pair, -1 to 1; default {ALIKE}"
        )

    def handle(self, *, agency: str, score: float, **options: Any) -> None:
        if not -1 <= score <= 1:
            raise CommandError("A score is a cosine: between -1 and 1.")
        whose = Agency.objects.filter(code=agency).first()
        if whose is None:
            known = ", ".join(Agency.objects.values_list("code", flat=True)) or "none yet"
            raise CommandError(f"There is no agency with the code '{agency}'; there are: {known}.")
        count = 0
        try:
            encoder = encoding.active()
            total = Template.objects.filter(encoder=encoder, photo__booking__agency=whose).count()
            pairs = duplicates.find(
                encoder, whose, score=score, report=lambda done: self.show(f"{done:,} of {total:,} photographs")
            )
            for pair in pairs:
                if not count:
                    self._line(HEADING)
                self._line((f"{pair.score:.4f}", *_who(pair.one), *_who(pair.other)))
                count += 1
        except MugsearchError as error:
            self.end_of_progress()
            raise CommandError(error.message, returncode=2) from error
        self.end_of_progress()
        self.aside(f"{count:,} pairs of people among {total:,} photographs are at least this much alike: {score}.")

    def _line(self, cells: tuple[str, ...]) -> None:
        self.end_of_progress()
        self.stdout.write(next(spreadsheet.lines([cells])).rstrip("\r\n"))


def _who(photo: Photo) -> tuple[str, str, str]:
    return photo.booking.person.person_id, photo.booking.booking_number, str(photo.pk)

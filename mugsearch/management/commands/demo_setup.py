"""What `./run demo` calls before the services start. Running it again changes nothing that is there."""

import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from time import monotonic
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from mugsearch.accounts.models import Agency, User
from mugsearch.accounts.services import console
from mugsearch.demo import people, photos
from mugsearch.errors import MugsearchError
from mugsearch.gallery import encoding, importing, live, manifest, sources
from mugsearch.gallery.models import ImportRun, Photo
from mugsearch.probes import services, working
from mugsearch.probes.models import Probe, Search
from mugsearch.probes.services import Purpose

PURPOSE = Purpose(
    case_number="26-000001",
    offence="robbery",
    legal_basis="reasonable-suspicion",
    source="cctv-still",
    source_detail="Demo: a photograph of somebody in the gallery that is not itself in it",
    attested=True,
)


class Command(BaseCommand):
    help = "Fill an empty installation with people who can sign in, photographs, and one search to examine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--photos", type=Path, help="a folder of photographs with its manifest.csv")

    def handle(self, *args: Any, photos: Path | None, **options: Any) -> None:
        agency, _ = Agency.objects.get_or_create(code="demo", defaults={"name": "Demo Police Department"})
        users = people.ensure(agency, Path(settings.VAR) / "demo.txt")
        if Photo.objects.exists() and Search.objects.exists():
            self.stderr.write(f"The gallery of before is here: {Photo.objects.count():,} photographs.")
            return
        try:
            self._fill(agency, users["ivy"], photos)
        except MugsearchError as error:
            raise CommandError(error.message) from error

    def _fill(self, agency: Agency, investigator: User, named: Path | None) -> None:
        encoder = encoding.active()
        self.stderr.write(f"Encoder: {encoder.name}. {encoder.licence}")
        with tempfile.TemporaryDirectory(prefix="mugsearch-demo-") as work:
            chosen = photos.choose(named, work=Path(work), encoder=encoding.loaded(encoder.spec), say=self.stderr.write)
            self.stderr.write(f"Importing {chosen.about}.")
            started = monotonic()
            run = importing.run_here(
                by=console(),
                agency=agency,
                several=ImportRun.Several.LARGEST,
                manifest=manifest.read(chosen.manifest.read_bytes()),
                source=sources.Folder(chosen.folder),
                progress=self._progress,
            )
            run.refresh_from_db()
            seconds = monotonic() - started
            self.stderr.write(
                f"{self._line()}{run.enrolled + run.already:,} photographs are in the gallery ({seconds:.0f} s), "
                f"{run.waiting} wait for a clerk, {run.rejected} could not be taken."
            )
            live.rebuild(encoder)
            self._search(investigator, chosen.probe)

    def _search(self, investigator: User, image: Path) -> None:
        """The route of any probe, with the worker's part done here, so that it waits in the queue at once."""
        probe = services.submit(by=investigator, purpose=PURPOSE, image=image.read_bytes())
        working.find_faces(probe.pk)
        probe.refresh_from_db()
        if probe.state != Probe.State.READY:
            raise CommandError("No face was found in the photograph chosen to search with.")
        search = services.search(by=investigator, probe=probe, face=0)
        working.run_search(search.pk)
        search.refresh_from_db()
        waiting = search.candidates.count()
        self.stderr.write(f"One search is done under case {PURPOSE.case_number}: {waiting} candidates to examine.")

    def _progress(self, run: ImportRun) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"{self._line()}  {run.rows_done} of {run.rows}", ending="")
            sys.stderr.flush()

    def _line(self) -> str:
        return "\r\033[K" if sys.stderr.isatty() else ""

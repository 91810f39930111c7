"""A restore: nothing is touched before every byte of the backup is checked, and nobody sees anything of it before every
purge since is done once more.

Closed first: a file below `var` keeps every process away (`mugsearch.closed`), and the database hides its tables from
whoever connects. Then the steps, each recorded when it is done. Killed, the same command goes on with the step it was
at; only the last one opens the service again.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.core.management import call_command
from django.db import DatabaseError
from django.db.migrations.loader import MigrationLoader

from mugsearch import closed, ownership
from mugsearch.accounts.services import console
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import Head, verify
from mugsearch.backups import database, folders, keyfiles, living, manifests, on_cases, people, replaying
from mugsearch.backups.manifests import Manifest
from mugsearch.durable import fsync_folder, sync_file_system, write
from mugsearch.errors import BadInput, Unavailable, WrongState
from mugsearch.gallery import encoding
from mugsearch.gallery.models import Booking, Template
from mugsearch.launch.held import Held
from mugsearch.probes import sharing
from mugsearch.retention import erasing, finishing, purges
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault

Report = Callable[[str], None]


@dataclass
class Progress:
    """What the marker holds. `lines`: from where to where the ledger of purges is replayed, and `ledger_ends`: when its
    last one was; fixed before the first one is, because replaying appends to it. `keys`: the key file is being put
    back. `doubts`: of DOUBTS. `accounts`, `cases`: what the replaced database said of people, and of who is on which
    case; None where it said nothing."""

    backup: str
    digest: str
    id: str = field(default_factory=lambda: str(uuid4()))
    keys: bool = False
    done: list[str] = field(default_factory=list)
    lines: tuple[int, int] = (0, 0)
    ledger_ends: str = ""
    doubts: list[str] = field(default_factory=list)
    accounts: people.Known | None = None
    cases: on_cases.Known | None = None
    not_here: list[str] = field(default_factory=list)

    def save(self) -> None:
        write(closed.marker(Path(settings.VAR)), f"{self.backup}\n{json.dumps(asdict(self))}\n".encode())

    @classmethod
    def found(cls) -> "Progress | None":
        try:
            text = closed.marker(Path(settings.VAR)).read_text()
        except FileNotFoundError:
            return None
        return cls(**json.loads(text.partition("\n")[2]))


# Why something that was purged may be unknown to this restore.
DOUBTS: Final = {
    "unread": "the database that was replaced couldn't be read. The ledger may lack what was ordered there last.",
    "damaged": "lines of the ledger of purges can't be read.",
    "short": "the ledger of purges lacks what it had when the backup was made: it was lost, or is an older one.",
    "empty": "the ledger of purges is empty.",
}
# Nobody may take these for granted. An empty ledger is what a service has that never purged anything.
_TO_ACCEPT: Final = ("unread", "damaged", "short")


@dataclass(frozen=True)
class Restored:
    """`counts` and `not_here`: see `replaying`. `keyless`: bookings whose key is neither there nor known to be
    destroyed. `waiting`: orders that go on by themselves. `ledger_ends`: when the last purge that is known of was.
    `doubts`: sentences, of DOUBTS. `narrowed`: people from whom something was taken again, and
    `cases`: on which that was done with who is on them; None where nobody knows. `unassigned`: nobody is on these."""

    made_at: str
    counts: dict[str, int]
    not_here: list[str]
    photos: int
    keyless: int
    waiting: int
    ledger_ends: str
    doubts: list[str]
    narrowed: int | None
    cases: int | None
    unassigned: list[str]


def restore(
    folder: Path,
    *,
    keys: Path | None = None,
    replace: bool = False,
    accept_doubts: bool = False,
    say: Report,
    report: Report = lambda _: None,
) -> Restored:
    """`keys`: a backup of the keys, where the key file is lost. `replace`: what is in the database may go.
    `accept_doubts`: open even where the ledger can't tell all that was purged.

    Raises BadInput, WrongState before anything was touched; Unavailable later, and then the service stays closed until
    another call gets to the end.
    """
    folder = folder.resolve()
    with _alone(), ownership.acting():
        progress = Progress.found()
        if manifests.peek(folder)["kind"] != folders.DATA:
            raise BadInput(f"{folder} is a backup of the keys. Give the one of the data, and this one with --keys.")
        say("Checking every byte of the backup …")
        root = keyfiles.digest_key(keys.resolve() if keys else None, resuming=bool(progress and progress.keys))
        manifest = manifests.verified(folder, root, lambda done, of: report(f"{done:,} of {of:,} files"))
        manifest.require(folders.DATA)
        _require_known(manifest)
        database.see_it_closed()
        if not database.is_ours():
            raise WrongState(
                "The user of MUGSEARCH_OWNER_DATABASE_URL has to own the database to restore it. Nothing was touched."
            )
        if count := database.in_use():
            raise WrongState(f"{count} other sessions are connected to the database. Stop every process of mugsearch.")
        if progress and progress.digest == manifest.digest:
            say(f"Going on where it was interrupted, after: {', '.join(progress.done) or 'nothing'}.")
            progress.backup = str(folder)
        else:
            if not replace and not (progress or database.is_empty()):
                raise WrongState(
                    "The database isn't empty, and everything in it would be replaced by the backup. If that is what "
                    "you mean, say so with --replace. Nothing was touched."
                )
            begun = progress or Progress("", "")  # of another backup: what was known is replaced by it already
            progress = Progress(
                str(folder), manifest.digest, keys=begun.keys, accounts=begun.accounts, cases=begun.cases
            )
        progress.keys = progress.keys or keys is not None
        progress.save()
        database.close_to_others()
        if count := database.in_use():  # who connected before it was closed goes on seeing the tables
            raise WrongState(f"{count} other sessions are connected to the database. Stop every process of mugsearch.")
        for name, what, step in _STEPS:
            if name not in progress.done:
                say(f"{what} …")
                step(_Now(manifest, progress, keys, accept_doubts, report))
                progress.done.append(name)
                progress.save()
        return _open(manifest, progress)


def give_up() -> None:
    """Open what was there before, as long as the backup has not been loaded. Raises WrongState."""
    with _alone(), ownership.acting():
        if Progress.found() is None:
            raise WrongState("No restore is under way.")
        database.see_it_closed()
        if database.is_loaded():
            raise WrongState(
                "The database has been replaced by the backup already, and what was purged may be in it. Finish the "
                "restore, or restore another backup."
            )
        if keyfiles.is_here():  # it may have been put back from a backup, in which destroyed keys are alive
            keyfiles.destroy_again()
        if not database.is_empty():
            audit.record("backup.restore-given-up", by=console())
        _let_in()


@dataclass(frozen=True)
class _Now:
    manifest: Manifest
    progress: Progress
    keys: Path | None
    accept_doubts: bool
    report: Report


def _put_keys(now: _Now) -> None:
    if now.keys:
        keyfiles.put(now.keys)
    keyfiles.destroy_again()


def _follow_once_more(now: _Now) -> None:
    """What was ordered in the database that is replaced now, and whose line nobody had written yet."""
    if database.is_loaded() or database.is_empty():
        return
    try:
        purges.follow()
    except (DatabaseError, ObjectDoesNotExist):  # it may be damaged: that is why it is replaced
        now.progress.doubts.append("unread")
    with suppress(DatabaseError):
        now.progress.accounts = people.known()
        now.progress.cases = on_cases.known()


def _load(now: _Now) -> None:
    database.load(now.manifest.folder / "database.dump")


def _upgrade(now: _Now) -> None:
    """A step of its own: what a migration refuses is mended in the tables, and loading them again would undo that."""
    call_command("migrate", verbosity=0, interactive=False)


def _check_record(now: _Now) -> None:
    verdict = verify(
        against=Head.parse(now.manifest.said["audit"]), progress=lambda number: now.report(f"{number:,} entries")
    )
    if not verdict.intact:
        raise Unavailable(
            f"The record in this backup is not intact: entry {verdict.first_bad}: {verdict.problem}. mugsearch stays "
            "closed; restore another backup."
        )


def _take_again(now: _Now) -> None:
    if now.progress.accounts:
        people.take_again(now.progress.accounts)
    if now.progress.cases:
        on_cases.take_again(now.progress.cases)


def _find_lines(now: _Now) -> None:
    unknown, lines = len(purges.unknown_here()), vault.purges()
    now.progress.lines = (len(lines) - unknown, len(lines))
    now.progress.ledger_ends = lines[-1]["at"] if lines else ""
    known = now.manifest.said["ledger"]
    found = {
        "damaged": vault.has_damaged_purges(),
        "short": bool(known) and known["digest"] not in {line["digest"] for line in lines},
        "empty": not lines,
    }
    doubts = [*now.progress.doubts, *(doubt for doubt, is_so in found.items() if is_so)]
    if not now.accept_doubts and (open_ones := [DOUBTS[doubt] for doubt in doubts if doubt in _TO_ACCEPT]):
        raise Unavailable(
            f"What was purged after the backup may be unknown: {' '.join(open_ones)} mugsearch stays closed. Put the "
            "newest `purges` of the keys' backups beside the keys and call this again; or, if there is none, call it "
            "with --accept-doubts and order anew what certificates on paper name."
        )
    now.progress.doubts = doubts


def _replay(now: _Now) -> None:
    start, stop = now.progress.lines
    lines = replaying.first_of_each(vault.purges()[:stop], start)
    replaying.replay(lines, now.report)
    now.progress.not_here = replaying.not_here(lines)
    if left := replaying.left():
        raise Unavailable(f"{left} rows are here although their keys were destroyed. mugsearch stays closed.")


def _put_files(now: _Now) -> None:
    """Of what is left after the purges; what is there already stays. Afterwards each is what the backup says."""
    names = sorted(living.names())
    put = []
    for number, name in enumerate(names, start=1):
        path = f"files/{name.hex[:2]}/{name.hex}"
        digest = now.manifest.sums.get(path)
        if digest and vault.digest_of_file(name) != digest:
            try:
                vault.put_file(name, (now.manifest.folder / path).read_bytes())
            except OSError as error:
                raise Unavailable(f"An image can't be put back ({error.strerror}: {settings.VAULT_FILES}).") from error
            put.append(name)
        if not digest and not vault.is_whole(name) and str(name) not in now.manifest.said["lost"]:
            raise Unavailable(f"The image {name} is neither in the backup nor in {settings.VAULT_FILES}.")
        now.report(f"{number:,} of {len(names):,} files")
    if put:  # not one by one, which takes ten times as long
        sync_file_system(Path(settings.VAULT_FILES))
    for name in put:
        if vault.digest_of_file(name) != now.manifest.sums[f"files/{name.hex[:2]}/{name.hex}"]:
            raise Unavailable(f"The image {name} is not on the disk as it is in the backup. Is the disk all right?")


def _rebuild(now: _Now) -> None:
    from mugsearch.gallery import live  # loads the search kernel

    encoder = encoding.active()
    total = Template.objects.searchable().filter(encoder=encoder).count()
    live.start_over(encoder)
    live.rebuild(encoder, report=lambda state: now.report(f"{state.live:,} of {total:,} vectors"))


def _prove(now: _Now) -> None:
    """Of every order that isn't complete: its steps, and that the index holds nothing of it."""
    for order in ExpungementOrder.objects.filter(state=ExpungementOrder.State.APPROVED):
        if order.kind == ExpungementOrder.Kind.EXPUNGE:
            erasing.carry_out(order.pk)
        erasing.prove(order.pk)
    finishing.finish()


_STEPS: tuple[tuple[str, str, Callable[[_Now], None]], ...] = (
    ("keys", "Destroying again the keys that were destroyed", _put_keys),
    ("orders", "Looking up what was ordered in the database that is replaced", _follow_once_more),
    ("database", "Loading the database", _load),
    ("tables", "Bringing its tables up to this version", _upgrade),
    ("record", "Checking the record of acts", _check_record),
    ("people", "Taking from people once more what was taken after the backup", _take_again),
    ("ledger", "Looking up what happened after the backup", _find_lines),
    ("purges", "Purging again what was purged after the backup", _replay),
    ("files", "Putting the images back", _put_files),
    ("index", "Building the index", _rebuild),
    ("proofs", "Proving that the index holds nothing that was purged", _prove),
)


def _open(manifest: Manifest, progress: Progress) -> Restored:
    keyless = sum(not vault.has_key(pk) for pk in Booking.objects.values_list("pk", flat=True))
    waiting = ExpungementOrder.objects.filter(state=ExpungementOrder.State.APPROVED).count()
    photos = Template.objects.searchable().count()
    counts = replaying.counts(Head.parse(manifest.said["audit"]).number)
    if not Entry.objects.filter(act="backup.restored", details__restore=progress.id).exists():
        with audit.act("backup.restored", by=console()) as act:
            act.note(
                restore=progress.id, made_at=manifest.said["made_at"], head=manifest.said["audit"],
                manifest=manifest.digest, purges=progress.lines[1] - progress.lines[0], keyless=keyless,
                not_here=len(progress.not_here), keys=progress.keys, doubts=progress.doubts, **counts,
            )  # fmt: skip
    purges.follow()
    _let_in()
    return Restored(
        made_at=manifest.said["made_at"],
        counts=counts,
        not_here=progress.not_here,
        photos=photos,
        keyless=keyless,
        waiting=waiting,
        ledger_ends=progress.ledger_ends,
        doubts=[DOUBTS[doubt] for doubt in progress.doubts],
        narrowed=_since(manifest, people.ACT) if progress.accounts else None,
        cases=_since(manifest, sharing.RESTORED) if progress.accounts and progress.cases is not None else None,
        unassigned=on_cases.unassigned(),
    )


def _since(manifest: Manifest, act: str) -> int:
    since = Entry.objects.filter(number__gt=Head.parse(manifest.said["audit"]).number)
    return int(since.filter(act=act, outcome="done").count())


def _let_in() -> None:
    database.open_to_others()
    marker = closed.marker(Path(settings.VAR))
    marker.unlink()
    fsync_folder(marker.parent)


def _require_known(manifest: Manifest) -> None:
    """Raises BadInput when the backup's database is of a newer mugsearch than this."""
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    here = {f"{app}.{name}" for app, name in loader.disk_migrations}
    # Of an app whose migrations are switched off here, as knox's are, older installations have some on record.
    told = {one for one in manifest.said["migrations"] if one.partition(".")[0] not in loader.unmigrated_apps}
    if unknown := sorted(told - here):
        raise BadInput(f"This backup was made by a newer mugsearch (it knows {unknown[-1]}). Install that one first.")


@contextmanager
def _alone() -> Iterator[None]:
    """The lock that a running service holds."""
    locks = Path(settings.VAR) / "locks"
    locks.mkdir(parents=True, exist_ok=True, mode=0o700)
    with Held(locks / "running") as running:
        if not running.alone_now():
            at = running.read().strip()
            where = f"is running{f' at {at}' if at else ''}"
            raise WrongState(f"mugsearch {where}. Stop it (Ctrl-C in its terminal), then restore. Nothing was touched.")
        running.write("")
        yield

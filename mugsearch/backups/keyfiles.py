"""The key file and its two ledgers, when a backup is restored: a newer ledger is never replaced by an older one, and
what a ledger says was destroyed is destroyed again."""

from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from mugsearch.backups import folders, manifests
from mugsearch.durable import write
from mugsearch.errors import BadInput
from mugsearch.vault import services as vault

LEDGERS = ("destroyed", "purges")


def digest_key(backup: Path | None, *, resuming: bool) -> bytes:
    """Of the key file that the restore goes by: today's, or the one in a backup of the keys, which is checked with it.
    Raises BadInput when there is no key file, or two."""
    here = is_here()
    if backup is None:
        if not here:
            raise BadInput(
                f"There is no key file in {settings.VAULT_KEYS}, and without the keys nothing of the backup can be "
                "read. Put its disk back, or give the newest backup of the keys with --keys. Nothing was touched."
            )
        return vault.digest_key()
    if here and not resuming:
        raise BadInput(
            f"There is a key file in {settings.VAULT_KEYS}. It knows more than any backup of it: restore without "
            "--keys. If it is damaged, move `keys` away, leave `destroyed` and `purges` where they are, and try again. "
            "Nothing was touched."
        )
    if manifests.peek(backup)["kind"] != folders.KEYS:
        raise BadInput(f"{backup} is a backup of the data. --keys wants one of the keys. Nothing was touched.")
    # Where it lies: destroyed keys are alive in it, so nothing makes a copy that a killed process would leave.
    try:
        root = vault.digest_key_in(backup / "keys")
    except OSError as error:
        raise manifests.BackupDamaged(f"{backup / 'keys'} can't be read ({error.strerror}).") from error
    manifests.verified(backup, root).require(folders.KEYS)
    return root


def put(backup: Path) -> None:
    """The ledgers first: from then on nothing that they list is used again. May be done twice."""
    home = Path(settings.VAULT_KEYS)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in LEDGERS:
        write(home / name, merged(_read(home / name), _read(backup / name)))
    write(home / "keys", (backup / "keys").read_bytes())


def merged(today: bytes, backup: bytes) -> bytes:
    """The longer one where one begins with the other, as it should be; else what is in either, in the order of time,
    which stands in each line."""
    if today.startswith(backup):
        return today
    if backup.startswith(today):
        return backup
    lines = dict.fromkeys(line for line in (*today.splitlines(), *backup.splitlines()) if line)
    return b"".join(line + b"\n" for line in sorted(lines, key=_time))


def destroy_again() -> None:
    """Keys that the ledger lists and that are there: they came back with an older key file."""
    for owner, _ in vault.destroyed(datetime.min.replace(tzinfo=UTC)):
        if vault.has_key(owner):
            vault.destroy_key(owner)


def _time(line: bytes) -> str:
    text = line.decode("ascii", errors="replace")
    return text.partition('"at":"')[2][:32] or text.partition(" ")[2]


def is_here() -> bool:
    """A key file with keys in it, or keys of the first form, one file each."""
    home = Path(settings.VAULT_KEYS)
    file = home / "keys"
    return (file.exists() and file.stat().st_size > 0) or any(home.glob("[0-9a-f][0-9a-f]/*"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""

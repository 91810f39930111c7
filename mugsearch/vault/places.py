"""Where in the key file each owner's slots are. Of 300,000 owners: 40 MB, no key and nothing wrapped among it."""

from mugsearch.vault import slots
from mugsearch.vault.slots import HEADER, Kind


class Places:
    def __init__(self) -> None:
        self.read_to = HEADER
        self.newest: dict[bytes, int] = {}  # owner -> the last whole slot
        self.others: dict[bytes, list[int]] = {}  # what a rotation hasn't overwritten yet, or is damaged
        self.torn: list[int] = []
        self.damaged = 0
        self.master: bytes | None = None  # which master key wraps new keys

    def read(self, file: int, stop: int) -> None:
        """Learn what is in the file from where the last reading ended to `stop`."""
        for place, raw in slots.scan(file, self.read_to, stop):
            owner = slots.owner_in(raw)
            if slots.is_whole(raw):
                if raw[0] == Kind.MASTER:
                    self.master = slots.master_in(raw)
                    continue
                before = self.newest.get(owner)
                self.newest[owner] = place
                if before is not None:
                    self.others.setdefault(owner, []).append(before)
            elif slots.is_torn(raw):
                self.torn.append(place)
            else:
                self.damaged += 1
                self.others.setdefault(owner, []).append(place)
        self.read_to = stop

    def of(self, owner: bytes) -> list[int]:
        newest = self.newest.get(owner)
        return [*self.others.get(owner, ()), *(() if newest is None else (newest,))]

    def overwritten(self, owner: bytes, place: int) -> None:
        """One that has a newer slot."""
        left = [other for other in self.others.pop(owner, ()) if other != place]
        if left:
            self.others[owner] = left

    def forget(self, owner: bytes) -> None:
        self.newest.pop(owner, None)
        self.others.pop(owner, None)

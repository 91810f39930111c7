"""A certificate on paper: what was signed, set for US Letter so that it prints on A4, too; the signed file is attached.

It is made of what is stored of the certificate and of nothing else, so it has the same bytes whenever it is asked for.
PDF/A-3, as archives want it. A character that the fonts here don't have is printed by its number, as U+4E2D.
"""

import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fontTools.ttLib import TTFont
from fpdf import FPDF, FontFace, ViewerPreferences
from fpdf.enums import DocumentCompliance

from mugsearch.retention import certificates, proofs
from mugsearch.retention.certificate_models import Certificate
from mugsearch.vault import signing

# DejaVu Sans: Latin with all its accents, Greek, Cyrillic, Georgian, Armenian and Canadian syllabics.
FONTS = Path(__file__).parent / "fonts"
SIDE, TOP, FOOT = 20, 18, 22  # mm
INK, QUIET, RULE = (24, 28, 36), (84, 92, 106), (196, 202, 212)
SMALL, TEXT, HEAD, TITLE = 8, 9.5, 12, 20  # points
LINE = 0.5  # mm of height per point
_TIME = re.compile(rb'(xmp:(?:ModifyDate|MetadataDate)=")[^"]+')


def printed(certificate: Certificate) -> bytes:
    said = certificates.read(certificate)
    page = _Page(said)
    page.heading()
    page.order()
    page.steps()
    page.numbers()
    page.kept()
    page.ageing()
    page.signature(certificate)
    page.embed_file(
        bytes=certificates.signed(certificate),
        basename=f"certificate-{said['order']['id']}.json",
        mime_type="application/json",
        associated_file_relationship="Source",
        desc="The certificate as it was signed",
        creation_date=page.made,
        modification_date=page.made,
        compress=True,
    )
    # The library writes the time of day into the description, which would be another one every time.
    made = f"{page.made:%Y-%m-%dT%H:%M:%S}+00:00".encode()
    return _TIME.sub(rb"\g<1>" + made, bytes(page.output()))


class _Page(FPDF):
    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(format="letter", enforce_compliance=DocumentCompliance.PDFA_3U)
        self.said = said
        self.made = datetime.fromisoformat(said["certified_at"])
        self.local = ZoneInfo(said["time_zone"])
        self.set_margins(SIDE, TOP)
        self.c_margin = 0  # what is in tables begins where the text does
        self.set_auto_page_break(True, FOOT)
        self.add_font("DejaVu", "", FONTS / "DejaVuSans.ttf")
        self.add_font("DejaVu", "B", FONTS / "DejaVuSans-Bold.ttf")
        self.set_lang("en-US")
        self.set_title(_shown(f"{said['title']}, order {said['order']['number']}"))
        self.set_author(_shown(said["agency"]))
        self.set_subject("What was done and checked, and what still ages out")
        self.set_creator(said["software"])
        self.set_creation_date(self.made)
        self.viewer_preferences = ViewerPreferences(display_doc_title=True)
        self.set_draw_color(*RULE)
        self.alias_nb_pages("{pages}")
        self.add_page()

    def file_id(self) -> str:
        """Two identical ones: the file was never changed since it was made."""
        name = self.said["order"]["id"].replace("-", "").upper()
        return f"<{name}><{name}>"

    def footer(self) -> None:
        self.set_y(-FOOT + 6)
        self.line(SIDE, self.y, self.w - SIDE, self.y)
        self.ln(2)
        self._font(SMALL, color=QUIET)
        number = f"Order {_shown(self.said['order']['number'])}"
        room = self.epw - self.get_string_width("Page 9 of 9")
        while self.get_string_width(number) > room - 6:
            number = f"{number[:-2]}…"
        self.cell(room, 4, number)
        self.cell(0, 4, f"Page {self.page_no()} of {{pages}}")

    def heading(self) -> None:
        self._say(self.said["agency"], size=HEAD, color=QUIET)
        self.ln(1.5)
        self.start_section(self.said["title"])
        self._say(self.said["title"], size=TITLE, bold=True)
        self.ln(3)
        self._say(self.said["statement"], size=TEXT + 1)

    def order(self) -> None:
        order = self.said["order"]
        facts = [
            ("Order number", order["number"]),
            ("Its id in the system", order["id"]),
            ("Kind", f"{order['kind'].capitalize()}, {_about(order)}"),
            ("Ordered by", order["ordered_by"]),
            ("Rule", order["rule"]),
            ("Disposition", order["disposition"]),
            ("Policy, SHA-256", order["policy_sha256"]),
            ("Complete", self._both(self.said["completed_at"])),
            ("Certified", self._both(self.said["certified_at"])),
        ]
        self._section("The order")
        with self._table((42, 134), headings=False) as table:
            for name, value in facts:
                if value:
                    row = table.row()
                    row.cell(name, style=FontFace(color=QUIET))
                    row.cell(_shown(value))

    def steps(self) -> None:
        self._section("What was done and checked")
        columns = ("Step", "Done", "What was checked")
        with self._table((34, 46, 96)) as table:
            table.row(columns)
            for step in self.said["steps"]:
                row = table.row()
                row.cell(_shown(step["what"]), style=FontFace(emphasis="BOLD"))
                row.cell(self._both(step["at"], "\n"))
                row.cell(_shown("\n".join(filter(None, (step["checked"], proofs.in_words(step))))))

    def numbers(self) -> None:
        self._section("Counted", room=14 + 6 * len(self.said["counts"]))
        with self._table((12, 164), headings=False) as table:
            for line in self.said["counts"]:
                row = table.row()
                row.cell(str(line["count"]), align="R", style=FontFace(emphasis="BOLD"))
                row.cell(_shown(line["said"]))

    def kept(self) -> None:
        self._section("What stays")
        for sentence in self.said["kept"]:
            self._point(sentence)

    def ageing(self) -> None:
        self._section("What still ages out", room=60)
        if not self.said["ages_out"]:
            self._say("Nothing: nothing was destroyed.")
            return
        self._say(
            "The steps above don’t reach these places. The day is the last one, in UTC, on which something may still "
            "be there."
        )
        self.ln(1.5)
        self._say(self.said["rows"])
        self.ln(1.5)
        with self._table((46, 24, 106)) as table:
            table.row(("Where", "Until", "What is there, and how the day is known"))
            for place in self.said["ages_out"]:
                row = table.row()
                row.cell(_shown(place["where"]), style=FontFace(emphasis="BOLD"))
                row.cell(_day(place["until"]))
                row.cell(_shown(f"{place['holds']}\n{place['known_by']}"))

    def signature(self, certificate: Certificate) -> None:
        key = bytes(certificate.public_key)
        self._section("Signature, and how to check it", room=80)
        self._say(
            "What was signed is attached to this PDF as a JSON file, which the agency hands out by itself, too. To "
            "check either of them, offline, with Python and its package cryptography:"
        )
        self.ln(1)
        self._say("python3 verify_certificate.py CERTIFICATE --key FINGERPRINT", bold=True)
        self.ln(1)
        self._say(
            "Get verify_certificate.py and the fingerprint of the agency’s key from the agency by another way than "
            "this paper. It prints what was signed, in words: compare that with what you read here."
        )
        self.ln(2)
        facts = (
            ("SHA-256 of what was signed", certificates.digest(certificate)),
            ("Fingerprint of the key", signing.fingerprint(key)),
            ("Public key (Ed25519)", key.hex()),
            ("Signature", bytes(certificate.signature).hex()),
        )
        with self._table((48, 128), headings=False, size=SMALL) as table:
            for name, value in facts:
                row = table.row()
                row.cell(name, style=FontFace(color=QUIET))
                row.cell(_in_groups(value))

    def _section(self, title: str, *, room: float = 34) -> None:
        """A heading is never the last thing on a page."""
        self.ln(6)
        if self.will_page_break(room):
            self.add_page()
        self._font(HEAD, bold=True)
        self.start_section(title, level=1)
        self.multi_cell(0, HEAD * LINE, title, new_x="LMARGIN", new_y="NEXT")
        self.ln(1.5)

    def _say(self, text: str, *, size: float = TEXT, bold: bool = False, color: tuple[int, int, int] = INK) -> None:
        self._font(size, bold=bold, color=color)
        self.multi_cell(0, size * LINE, _shown(text), align="L", new_x="LMARGIN", new_y="NEXT")

    def _point(self, text: str) -> None:
        self._font(TEXT)
        self.cell(5, TEXT * LINE, "•")
        self.multi_cell(0, TEXT * LINE, _shown(text), align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(0.8)

    def _table(self, widths: tuple[int, ...], *, headings: bool = True, size: float = TEXT - 0.5) -> Any:
        self._font(size)
        return self.table(
            col_widths=widths,
            align="L",
            text_align="L",
            line_height=size * LINE,
            padding=(1.2, 2, 1.2, 0) if headings else (0.5, 2, 0.5, 0),
            borders_layout="HORIZONTAL_LINES" if headings else "NONE",
            first_row_as_headings=headings,
            headings_style=FontFace(emphasis="BOLD", color=QUIET),
            v_align="TOP",
        )

    def _font(self, size: float, *, bold: bool = False, color: tuple[int, int, int] = INK) -> None:
        self.set_font("DejaVu", "B" if bold else "", size)
        self.set_text_color(*color)

    def _both(self, at: str, between: str = ", ") -> str:
        """In UTC, and as clocks in the agency showed it."""
        moment = datetime.fromisoformat(at)
        times = [f"{moment:%Y-%m-%d %H:%M:%S} UTC"]
        here = moment.astimezone(self.local)
        if here.utcoffset():
            times.append(f"{here:%Y-%m-%d %H:%M:%S} {here.tzname()}")
        return between.join(times)


def _about(order: dict[str, Any]) -> str:
    return "all bookings of the person" if order["whole_person"] else "one booking"


def _day(until: str | None) -> str:
    return until or "no fixed day"


def _in_groups(digits: str) -> str:
    """As they are compared by eye."""
    return " ".join(digits[place : place + 8] for place in range(0, len(digits), 8))


def _shown(text: str) -> str:
    """What the fonts have no sign for is written as U+4E2D, rather than as an empty box."""
    return "".join(sign if sign == "\n" or ord(sign) in _signs() else f"[U+{ord(sign):04X}]" for sign in text)


@cache
def _signs() -> frozenset[int]:
    return frozenset(TTFont(FONTS / "DejaVuSans.ttf").getBestCmap())

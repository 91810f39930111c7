"""What a clerk's CSV may look like, and what is said about lines that can't be taken."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mugsearch.errors import BadInput
from mugsearch.gallery import manifest
from mugsearch.gallery.manifest import BadRow, Row

HEADER = "photo,person_id,booking_number"


def rows(text: str | bytes) -> list[Row | BadRow]:
    return list(manifest.read(text if isinstance(text, bytes) else text.encode()))


def only(text: str | bytes) -> Row:
    (one,) = rows(text)
    assert isinstance(one, Row), one.reason
    return one


def reason(text: str | bytes) -> str:
    (one,) = rows(text)
    assert isinstance(one, BadRow), one
    return one.reason


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_exports_of_any_office_program_are_read(delimiter: str, encoding: str, newline: str) -> None:
    header = delimiter.join(["Photo ", " Person ID", "BOOKING-NUMBER", "family_name", "booked_on"])
    line = delimiter.join(["a.jpg", "P-1", "B-1", '"Núñez, O’Brien; x"', "12/31/2020"])
    found = only(newline.join([header, line, ""]).encode(encoding))
    assert found == Row(2, "a.jpg", "P-1", "B-1", datetime.date(2020, 12, 31), "Núñez, O’Brien; x")


def test_every_column_arrives() -> None:
    names = "photo,person_id,booking_number,booked_on,family_name,given_names,date_of_birth,sex,height_in,weight_lb,"
    text = (
        f"{names}pose,charge,disposition\na.jpg,P,B,2020-01-02,Doe,Jo,1990-12-31,female,63,145.0,Frontal,Theft,Fined\n"
    )
    born, booked = datetime.date(1990, 12, 31), datetime.date(2020, 1, 2)
    assert only(text) == Row(2, "a.jpg", "P", "B", booked, "Doe", "Jo", born, "F", 63, 145, "Frontal", "Theft", "Fined")


def test_line_numbers_stay_right_after_quoted_line_breaks_and_blank_lines() -> None:
    text = f'\n{HEADER},charge\n\na.jpg,P,B,"Theft\nof a car"\n,,,\n\nb.jpg,P,B,x\n'
    first, second = rows(text)
    assert (first.line, second.line) == (4, 8)
    assert isinstance(first, Row)
    assert first.charge == "Theft of a car"


def test_a_forgotten_quotation_mark_costs_one_line_at_most() -> None:
    text = f'{HEADER},charge\na.jpg,P,B,"Theft\nb.jpg,P,B,"Arson\nc.jpg,P,B,\nd.jpg,"P,B,x\ne.jpg,P,B,x\n'
    found = rows(text)
    assert [one.line for one in found] == [2, 3, 4, 5, 6]
    assert [isinstance(one, Row) for one in found] == [True, True, True, False, True]


@pytest.mark.parametrize("second", ['b.jpg,P,B,"', 'b.jpg,P,B",x', 'b.jpg,P,B,"x"'])
def test_a_forgotten_quotation_mark_swallows_no_other_row(second: str) -> None:
    found = rows(f'{HEADER},charge\na.jpg,P,B,"Theft\n{second}\nc.jpg,P,B,\n')
    assert [one.photo for one in found] == ["a.jpg", "b.jpg", "c.jpg"]


def test_quotation_marks_inside_of_names_are_kept() -> None:
    assert only(f'{HEADER},family_name\na.jpg,P,B,O"Brien\n').family_name == 'O"Brien'


def test_unknown_columns_are_ignored_and_said_to_be() -> None:
    found = manifest.read(f"{HEADER},age,Eye Colour\na.jpg,P,B,31,brown\n".encode())
    assert found.ignored == ["age", "eye_colour"]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (HEADER, "no rows"),
        ("photo,person_id\na,b\n", "no column booking_number"),
        ("a.jpg,P,B\nb.jpg,P,B\n", "first line has to name the columns"),
        (f"{HEADER},\na,b,c,d\n", "Column 4"),
        (f"{HEADER},Photo\na,b,c,d\n", "column photo twice"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"\x81\x8d\xff", "save it as"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_with_one_sentence(text: str | bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        rows(text)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (",P,B", "photo is empty"),
        ("a.jpg, ,B", "person_id is empty"),
        ("a.jpg,P", "2 columns, but the header has 3"),
        ("a.jpg,P,B,x", "4 columns"),
        ("a.jpg,P\0,B", "can't be printed"),
        ("a.jpg,P,B\x1b[31m", "can't be printed"),
        ("a.jpg,\u202eP,B", "can't be printed"),
        (f"a.jpg,{'P' * 65},B", "longer than 64"),
        (f"{'a' * 301},P,B", "longer than 300"),
        ('a.jpg,P,"B\n1"', "several lines"),
        ("a.jpg,P,B-\u00ad1", "booking_number holds characters that can't be seen"),
        ("a.jpg,P\u200b1,B", "person_id holds characters that can't be seen"),
        ("a.jpg,P,B\ufe0f1", "can't be seen"),
        ("a.jpg,P,---", "booking_number has neither letters nor digits"),
    ],
)
def test_a_bad_line_gets_a_reason(line: str, says: str) -> None:
    assert says in reason(f"{HEADER}\n{line}\n")


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("booked_on", "31/12/2020", "does not exist"),
        ("booked_on", "2020-02-30", "does not exist"),
        ("booked_on", "last week", "YYYY-MM-DD"),
        ("booked_on", "2999-01-01", "future"),
        ("date_of_birth", "01/01/1066", "before 1850"),
        ("sex", "Q", "M, F, X or U"),
        ("height_in", "5'10", "whole inches"),
        ("height_in", "999999999999", "whole inches"),
        ("weight_lb", "-1", "whole pounds"),
        ("weight_lb", "٣", "whole pounds"),
        ("charge", "x" * 201, "longer than 200"),
    ],
)
def test_a_bad_value_gets_a_reason(column: str, value: str, says: str) -> None:
    assert says in reason(f"{HEADER},{column}\na.jpg,P,B,{value}\n")


def test_nothing_is_kept_of_a_line_whose_columns_are_out_of_place() -> None:
    (bad,) = rows(f"{HEADER},family_name\nB-77_DOE.jpg,P,Doe, John,B-77\n")
    assert isinstance(bad, BadRow)
    assert (bad.photo, bad.booking_number) == ("", "")


def test_what_is_kept_of_a_bad_line_can_be_stored_and_shown() -> None:
    (bad,) = rows(f"{HEADER}\na\0{'b' * 400},P,B\n")
    assert isinstance(bad, BadRow)
    assert "\0" not in bad.photo
    assert len(bad.photo) == 300
    assert bad.booking_number == "B"


def test_nothing_is_kept_of_a_line_whose_booking_nobody_can_tell() -> None:
    """It might be one that was expunged."""
    for number in ("", "B\x07", "B-\u00ad1"):
        (bad,) = rows(f"{HEADER}\nB_DOE.jpg,P,{number}\n")
        assert isinstance(bad, BadRow)
        assert (bad.photo, bad.booking_number) == ("", "")


def test_a_cell_larger_than_any_real_one_does_not_stop_the_rest() -> None:
    found = rows(f"{HEADER}\n{'x' * 200_000},P,B\nb.jpg,P,B\n")
    assert [isinstance(one, Row) for one in found] == [False, True]


@given(st.text(max_size=200), st.binary(max_size=200))
def test_no_text_whatever_makes_reading_fail_in_another_way(text: str, data: bytes) -> None:
    for one in (f"{HEADER}\n{text}".encode("utf-8", "surrogatepass"), data, HEADER.encode() + b"\n" + data):
        try:
            read = manifest.read(one)
        except BadInput:
            continue
        assert len(list(read)) == len(read)

"""What a bundle holds, whom it is given to and when, and what of it is recorded."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from typing import Any

import jsonschema
import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from PIL import Image
from rest_framework.test import APIClient

from mugsearch.accounts.models import Agency, Role, RoleGrant, User
from mugsearch.audit.models import Entry
from mugsearch.disclosure import queries, services
from mugsearch.disclosure.content import of_search
from mugsearch.errors import NotAllowed, Unavailable, WrongState
from mugsearch.gallery.models import Photo
from mugsearch.probes import policy, policy_changes
from mugsearch.probes.models import Search
from mugsearch.vault import services as vault
from mugsearch.vault import signing
from reviews import evidence, leads, outcomes
from reviews.models import Lead
from reviews.notice import TEXT, TITLE
from tests.disclosure.arrange import bundle_of, content_of, examined, files_of, searched, supervisor, with_lead
from tests.factories import (
    AgencyFactory,
    CandidateFactory,
    SearchFactory,
    UserFactory,
    administrator,
    auditor,
    clerk,
    examiner,
    investigator,
    measured,
)
from tests.fakes import synthetic_photo
from tests.retention.arrange import a_life, approved, requested
from tests.reviews.arrange import FILLED, candidate, examine, forget

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]


def test_the_bundle_holds_the_probe_the_candidates_and_what_they_are_checked_with() -> None:
    files = files_of(bundle_of(with_lead()))
    assert list(files) == [
        *("probe.png", "candidates/01.png", "candidates/02.png", "candidates/03.png", "bundle.json", "bundle.html"),
        *("schema.json", "verify_bundle.py", "read_me.txt", "audit/000001.jsonl"),
        *("manifest.json", "head.json", "head.sig"),
    ]
    for listed in json.loads(files["manifest.json"])["files"]:
        data = files[listed["name"]]
        assert (listed["sha256"], listed["size"]) == (sha256(data).hexdigest(), len(data))


def test_images_are_there_pixel_by_pixel_as_they_are_stored() -> None:
    search = with_lead()
    bundle = bundle_of(search)
    files, content = files_of(bundle), content_of(bundle)
    photo = candidate(search, 2).photo
    assert files["candidates/02.png"] == vault.read_file(photo.booking_id, photo.pk)
    assert np.asarray(Image.open(BytesIO(files["probe.png"]))).shape == (320, 240, 3)
    said = content["candidates"][1]["photograph"]["image"]
    assert said == {
        "file": "candidates/02.png",
        "sha256": sha256(files[said["file"]]).hexdigest(),
        "size": said["size"],
    }


def test_the_content_says_what_was_searched_how_by_whom_and_what_was_concluded() -> None:
    search = with_lead()
    content = content_of(bundle_of(search))
    assert content["made"]["system"].startswith("mugsearch ")
    assert content["search"]["id"] == str(search.pk)
    assert content["search"]["encoder"]["digest"] == "f" * 64
    assert content["search"]["gallery"] == {"generation": 1, "size": 100}
    assert content["search"]["proof"] == {"scanned": 100, "rescored": 100, "ceiling": None, "depth": 100}
    assert content["search"]["policy_digest"] == search.policy_digest
    assert [(one["rank"], one["score"]) for one in content["candidates"]] == [(1, 0.89), (2, 0.88), (3, 0.87)]
    assert [one["examiner"]["name"] for one in content["examinations"]] == ["Eve First", "Ed Second"]
    positive = content["examinations"][0]["findings"][0]
    assert (positive["rating"], positive["notes"], len(positive["worksheet"])) == (3, "The left ear", 15)
    assert content["candidates"][0]["is_lead"]
    assert content["decision"]["outcome"] == "confirmed"
    assert content["lead"]["notice"].startswith(TITLE)
    assert content["notice"] == content["lead"]["notice"]


def test_the_policy_the_search_was_requested_under_is_there_whatever_it_is_today() -> None:
    policy_changes.record_installation()
    search = with_lead(policy_digest=policy.current().digest)
    bundle = bundle_of(search)
    assert sha256(files_of(bundle)["policy.toml"]).hexdigest() == search.policy_digest
    assert content_of(bundle)["search"]["policy_file"] == "policy.toml"


def test_an_expert_can_count_the_false_positives_again_from_what_is_there() -> None:
    search = with_lead()
    assert content_of(bundle_of(search))["calibration"] is None
    measured(encoder=search.encoder, scores=[0.1] * 40 + [0.875] * 7 + [0.8851] * 3, gallery_size=4711, seed="abc")
    forget(candidate(search, 2))
    files = files_of(bundle_of(search))
    content = json.loads(files["bundle.json"])
    made = content["calibration"]
    assert (made["searches"], made["seed"], made["gallery"]["size"]) == (50, "abc", 4711)
    for one, count in zip(content["candidates"], (0, None, 10), strict=True):
        if count is None:
            assert "false_positives" not in one
        else:
            again = sum(score >= round(one["score"], 4) for score in made["scores"])
            assert one["false_positives"]["count"] == again == count
            assert one["false_positives"]["rate"] == count / made["searches"]
    assert content["candidates"][0]["false_positives"]["high"] == 3 / 50
    jsonschema.Draft202012Validator(json.loads(files["schema.json"])).validate(content)
    page = files["bundle.html"].decode().replace("\N{NO-BREAK SPACE}", " ")
    assert "0 of 50 (95 % interval 0 % to 6.0 %)" in page
    assert "10 of 50 (95 % interval 11.2 % to 33.0 %)" in page
    assert "among 4711 photographs" in page


def test_the_content_is_as_the_published_schema_says() -> None:
    search = with_lead()
    others = searched(probe=search.probe, face=0)
    forget(candidate(search, 3))
    for one in (search, SearchFactory(probe=others.probe)):
        files = files_of(bundle_of(one))
        schema = json.loads(files["schema.json"])
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(json.loads(files["bundle.json"]))


def test_the_schema_refuses_a_tombstone_with_a_name_or_a_score() -> None:
    search = with_lead()
    forget(candidate(search, 3))
    files = files_of(bundle_of(search))
    content = json.loads(files["bundle.json"])
    content["candidates"][2]["score"] = 0.5
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json.loads(files["schema.json"])).validate(content)


@pytest.mark.parametrize("drawn", [[], [{}], [{"probe": [0.5]}], [{"probe": [0.5, 1.5]}], [{"hat": [0, 0]}], [{}] * 9])
def test_the_schema_refuses_what_can_not_be_drawn(drawn: Any) -> None:
    files = files_of(bundle_of(with_lead()))
    content = json.loads(files["bundle.json"])
    content["examinations"][0]["findings"][0]["worksheet"]["scars"]["drawn"] = drawn
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json.loads(files["schema.json"])).validate(content)


def test_the_printable_page_needs_nothing_from_outside_and_runs_nothing() -> None:
    page = files_of(bundle_of(with_lead()))["bundle.html"].decode()
    assert "<script" not in page
    assert all(address.startswith("data:image/jpeg;base64,") for address in re.findall(r'src="([^"]*)"', page))
    assert not re.findall(r"https?://|url\(|@import|<link|<iframe|\son\w+=", page)
    assert page.count(TEXT) == 2
    assert "Eve First" in page


def test_what_was_drawn_is_in_the_content_as_it_was_locked_and_on_the_printable_page() -> None:
    """Of a photograph with several faces the examiners saw one alone: the page, which shows the whole, has it there."""
    search = searched()
    photo = candidate(search, 1).photo
    face = {"box": [120.0, 160.0, 60.0, 80.0]}
    Photo.objects.filter(pk=photo.pk).update(faces=[face, face], face=face)
    examined(search)
    files = files_of(bundle_of(search))
    content = json.loads(files["bundle.json"])
    assert content["examinations"][0]["findings"][0]["worksheet"]["scars"] == FILLED["scars"]
    assert [one["photograph"]["examined"] for one in content["candidates"][:2]] == [
        [90, 120, 120, 160],
        [0, 0, 240, 320],
    ]
    page = files["bundle.html"].decode()
    assert page.count('<svg class="drawn"') == 4  # the probe and the candidate, of two examinations
    assert page.count('<circle cx="25.00%" cy="50.00%"') == 2  # on the probe
    # 90 + (0.2 + 0.125 / 2) * 120 of 240 pixels across, 120 + (0.4 + 0.25 / 2) * 160 of 320 down
    assert page.count('<ellipse cx="50.62%" cy="63.75%" rx="3.12%" ry="6.25%"') == 2
    assert page.count("Scars 1</text>") == 4
    assert page.count("Scars 2</text>") == 2
    jsonschema.Draft202012Validator(json.loads(files["schema.json"])).validate(content)


def test_the_notice_is_there_only_where_there_is_a_lead() -> None:
    search = searched()
    examined(search, same=())
    files = files_of(bundle_of(search))
    content = json.loads(files["bundle.json"])
    assert (content["lead"], content["notice"], content["decision"]["outcome"]) == (None, None, "nobody")
    assert TITLE not in files["bundle.html"].decode()


def test_what_people_typed_can_not_become_part_of_the_page() -> None:
    search = searched(probe__source_detail="<script>alert(1)</script>")
    examined(search, notes="<img src=https://elsewhere.example/x>")
    page = files_of(bundle_of(search))["bundle.html"].decode()
    assert "<script" not in page
    assert "<img src=h" not in page


def test_whoever_was_expunged_is_an_empty_place() -> None:
    search = with_lead()
    erased = candidate(search, 1)
    photo, person = erased.photo, erased.person
    person.family_name = "Zzerased"
    person.save()
    forget(erased)
    Lead.objects.filter(search=search).update(withdrawn_at=search.finished_at, withdrawn_why=Lead.Why.EXPUNGED)
    bundle = bundle_of(search)
    files = files_of(bundle)
    place = content_of(bundle)["candidates"][0]
    assert place["expunged"]
    assert not {"score", "person", "photograph", "booking", "other_photographs"} & set(place)
    assert [said["rating"] for said in place["conclusions"]] == [3, 3]  # what was concluded stays
    assert "candidates/01.png" not in files
    for secret in (
        "Zzerased",
        str(photo.pk),
        str(person.pk),
        str(photo.booking_id),
        photo.sha256,
        "0.89",
        "The left ear",
    ):
        assert secret.encode() not in bundle


def test_somebody_erased_while_the_bundle_is_sent_leaves_a_zip_that_does_not_open() -> None:
    search = with_lead()
    made = services.make(by=auditor(), search=search)
    sent = [next(made.chunks)]
    forget(candidate(search, 2))
    with pytest.raises(WrongState, match="erased"):
        sent += made.chunks
    assert b"PK\x05\x06" not in b"".join(sent)
    assert not Entry.objects.filter(act="bundle.signed").exists()


def test_a_missing_image_is_said_before_anything_is_sent() -> None:
    search = with_lead()
    vault.remove_file(candidate(search, 2).photo_id)
    with pytest.raises(Unavailable, match="missing"):
        services.make(by=auditor(), search=search)


def test_other_searches_of_the_image_are_there_with_ranks_but_without_names() -> None:
    search = with_lead()
    negative = searched(probe=search.probe)
    examined(negative, same=())
    waiting = searched(probe=search.probe)
    others = {one["id"]: one for one in content_of(bundle_of(search))["other_searches"]}
    assert others[str(negative.pk)]["result"] == "no_lead"
    assert [place["rank"] for place in others[str(negative.pk)]["list"]] == [1, 2, 3]
    assert "person" not in json.dumps(others)
    assert others[str(waiting.pk)]["list"] == []
    assert others[str(waiting.pk)]["result"] is None


def test_entries_about_another_search_of_the_image_stay_closed() -> None:
    from mugsearch.audit import services as audit

    search = with_lead()
    other = searched(probe=search.probe)
    audit.record("probe.viewed", by=examiner(), obj=other.probe, case=other.probe.case_id, examination=str(other.pk))
    entries = content_of(bundle_of(search))["audit"]["entries"]
    assert {"search.finished", "finding.saved", "examination.concluded", "bundle.made"} <= {
        one["act"] for one in entries
    }
    assert str(other.pk) not in json.dumps(entries)


def test_what_is_not_disclosed_can_not_be_read_in_the_bundle() -> None:
    bundle = bundle_of(with_lead())
    assert b"Zzdetail" not in bundle
    assert b"Zzdetail".hex().encode() not in bundle


def test_the_same_content_gives_the_same_order_and_packaging() -> None:
    search, by = with_lead(), auditor()
    first, second = bundle_of(search, by), bundle_of(search, by)
    assert list(files_of(first)) == list(files_of(second))
    assert files_of(first)["candidates/01.png"] == files_of(second)["candidates/01.png"]


def test_a_search_that_is_not_examined_to_the_end_has_no_bundle() -> None:
    search = searched()
    for person in (auditor(), supervisor()):
        with pytest.raises(WrongState, match="not been examined to the end"):
            services.make(by=person, search=search)
    examine(examiner(), search, same=(1,))
    examine(examiner(), search, same=(2,))
    with pytest.raises(WrongState, match="to the end"):  # a third was asked for
        services.make(by=auditor(), search=search)
    assert Entry.objects.latest("number").details["reason"] == "wrong_state"
    examine(examiner(), search, same=(1,))
    content = content_of(bundle_of(search))
    assert content["decision"]["examinations_needed"] == 3
    assert content["decision"]["third_asked_at"]
    assert len(content["examinations"]) == 3


def test_a_search_that_found_nobody_has_a_bundle() -> None:
    search = searched(0)
    content = content_of(bundle_of(search))
    assert (content["candidates"], content["decision"]["outcome"], content["decision"]["result"]) == (
        [],
        None,
        "no_lead",
    )


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SUPERVISOR])
def test_an_examiner_who_has_not_concluded_the_search_does_not_get_it(role: Role) -> None:
    search = with_lead()
    both = UserFactory(roles=[role, Role.EXAMINER])
    with pytest.raises(NotAllowed, match="have not concluded"):
        services.make(by=both, search=search)
    assert queries.of_case(both, search.probe.case.number) == []
    both.narrow_to(frozenset({role}))  # as in a program of theirs
    with pytest.raises(NotAllowed, match="have not concluded"):
        services.make(by=both, search=search)
    assert queries.of_case(both, search.probe.case.number) == []


def test_an_examiner_who_has_concluded_it_gets_it_unless_another_search_of_the_image_waits() -> None:
    search = searched()
    first, _ = examined(search)
    RoleGrant.objects.create(user=first, role=Role.SUPERVISOR)
    first = User.objects.get(pk=first.pk)
    assert bundle_of(search, first)
    searched(probe=search.probe)
    with pytest.raises(NotAllowed):
        services.make(by=first, search=search)


def test_auditors_get_every_search_and_supervisors_those_of_their_agency(page: Page, api: Api) -> None:
    search = with_lead()
    elsewhere = AgencyFactory(code="shelbyville", name="Shelbyville Police Department")
    on_the_case, was_on_it = (UserFactory(roles=[Role.SUPERVISOR, Role.INVESTIGATOR]) for _ in range(2))
    search.probe.case.members.add(on_the_case, was_on_it)
    search.probe.case.members.remove(was_on_it)
    for person, expected in (
        (auditor(), 200),
        (auditor(agency=elsewhere), 200),
        (supervisor(), 200),
        (supervisor(agency=elsewhere), 404),
        (on_the_case, 404),
        (was_on_it, 404),
        (investigator(), 403),
        (examiner(), 403),
        (clerk(), 403),
        (administrator(), 403),
        (search.requested_by, 403),
    ):
        assert page(person).get(f"/disclosure/searches/{search.pk}").status_code == expected, person.roles
        for answer in (
            page(person).post(f"/disclosure/searches/{search.pk}/bundle"),
            api(person).post(f"/api/v1/searches/{search.pk}/disclosure"),
        ):
            assert answer.status_code == expected, person.roles
            if expected == 200:
                assert answer.headers["Content-Type"] == "application/zip"
                assert answer.headers["Cache-Control"] == "no-store"
                assert "head.sig" in files_of(b"".join(answer.streaming_content))  # type: ignore[attr-defined]


def test_a_supervisor_of_another_agency_is_refused_by_the_service_too() -> None:
    search = with_lead()
    elsewhere: Agency = AgencyFactory(code="shelbyville", name="Shelbyville Police Department")
    with pytest.raises(NotAllowed, match="another agency"):
        services.make(by=supervisor(agency=elsewhere), search=search)


def test_making_a_bundle_is_recorded_twice_and_the_bundle_holds_the_first_entry() -> None:
    search, by = with_lead(), auditor()
    bundle = bundle_of(search, by)
    made, signed = Entry.objects.filter(act__startswith="bundle.").order_by("number")
    assert (made.act, made.actor, made.object_id) == ("bundle.made", by.pk, str(search.pk))
    assert made.number in [entry["number"] for entry in content_of(bundle)["audit"]["entries"]]
    assert signed.details["manifest"] == sha256(files_of(bundle)["manifest.json"]).hexdigest()
    with pytest.raises(NotAllowed):
        services.make(by=clerk(), search=search)
    refused = Entry.objects.latest("number")
    assert (refused.act, refused.outcome) == ("bundle.made", "refused")


def test_without_its_second_entry_no_signature_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    made = services.make(by=auditor(), search=with_lead())

    def fail(*args: Any, **kwargs: Any) -> None:
        raise Unavailable("The audit can't be written.")

    monkeypatch.setattr("mugsearch.audit.services.append", fail)
    sent: list[bytes] = []
    with pytest.raises(Unavailable):
        sent += made.chunks
    assert b"PK\x05\x06" not in b"".join(sent)
    assert signing.public_key().hex().encode() not in b"".join(sent)  # it is in the head


def test_a_search_is_found_by_its_case_number_once_it_is_over(page: Page) -> None:
    search, waiting = with_lead(), searched(probe__case__number="26-77777")
    browser = page(supervisor())
    assert str(search.pk) in browser.get(f"/disclosure/?number={search.probe.case.number}").content.decode()
    assert str(waiting.pk) not in browser.get("/disclosure/?number=26-77777").content.decode()
    assert browser.get("/disclosure/").status_code == 200
    assert browser.get("/disclosure/?number=" + "9" * 65).status_code == 200
    assert "to the end" in browser.get(f"/disclosure/searches/{waiting.pk}").content.decode()
    assert "Make the bundle" in browser.get(f"/disclosure/searches/{search.pk}").content.decode()


def test_the_auditors_page_of_a_search_leads_to_its_bundle(page: Page) -> None:
    search: Search = with_lead()
    assert f"/disclosure/searches/{search.pk}" in page(auditor()).get(f"/audit/searches/{search.pk}").content.decode()


def test_a_longer_list_costs_no_more_queries() -> None:
    search, by = with_lead(2), auditor()
    costs = []
    for more in (0, 6):
        for rank in range(3, 3 + more):
            CandidateFactory(search=search, rank=rank)
        with CaptureQueriesContext(connection) as asked:
            of_search(Search.objects.get(pk=search.pk), by=by, made=Entry.objects.latest("number"))
        costs.append(len(asked))
    assert costs[0] == costs[1]


@pytest.mark.usefixtures("fake_encoder")
def test_after_an_expungement_the_bundle_holds_nothing_of_the_person() -> None:
    """With an order carried out, and other photographs of the person and somebody else on the list."""
    life = a_life(
        booking_number="ZZ-BOOKING-1",
        person__person_id="ZZ-PERSON-1",
        person__family_name="Zzfamily",
        person__given_names="Zzgiven",
    )
    search = life.lead.search
    vault.create_key(search.probe_id)
    vault.store_file(search.probe_id, search.probe_id, synthetic_photo(9))
    before = bundle_of(search)
    assert b'"drawn"' in files_of(before)["bundle.json"]
    for secret in (b"ZZ-BOOKING-1", b"ZZ-PERSON-1", b"Zzfamily", b"Zzgiven", b"0.89"):
        assert secret in before
    photographs = [vault.read_file(photo.booking_id, photo.pk) for photo in life.photos]
    traces = [life.booking.pk, life.booking.person_id, *(photo.pk for photo in life.photos)]
    texts = [
        *map(str, traces),
        *(photo.sha256 for photo in life.photos),
        "zz-booking",
        "zz-person",
        "zzfamily",
        "zzgiven",
    ]
    assert photographs[0] in before
    approved(requested(life.booking))
    after = bundle_of(search)
    content = content_of(after)
    assert b'"drawn"' not in files_of(after)["bundle.json"]
    assert '<svg class="drawn"' not in files_of(after)["bundle.html"].decode()
    assert [place["expunged"] for place in content["candidates"]] == [True, False]
    assert content["lead"]["withdrawn_at"]
    assert TEXT in files_of(after)["bundle.html"].decode()  # the notice stays on a lead that was withdrawn
    assert not [text for text in (*texts, "0.91", "0.89") if text.encode() in after.lower()]
    assert not [photograph for photograph in photographs if photograph in after]
    schema = json.loads(files_of(after)["schema.json"])
    jsonschema.Draft202012Validator(schema).validate(content)


def test_what_a_lead_was_used_for_is_in_the_bundle() -> None:
    search = with_lead()
    lead = Lead.objects.get(search=search)
    me = search.requested_by
    evidence.record_evidence(
        by=me, lead=lead, kind="witness", source="A neighbour", obtained_on=search.finished_at.date(), attested=True
    )
    outcomes.record_outcome(by=me, lead=lead, outcome="no_use", note="Nothing came of it")
    outcomes.record_outcome(by=me, lead=lead, outcome="false_lead", note="It was somebody else")
    leads.withdraw(by=supervisor(), lead=lead, reason="The school had lost its licence")

    bundle = bundle_of(search)
    told = content_of(bundle)["lead"]
    assert [one["source"] for one in told["evidence"]] == ["A neighbour"]
    assert [one["outcome"] for one in told["outcomes"]] == ["no_use", "false_lead"]
    assert (told["withdrawn_why"], told["withdrawn_reason"]) == ("certificate", "The school had lost its licence")
    printed = files_of(bundle)["bundle.html"].decode()
    for shown in ("A neighbour", "It was somebody else", "The school had lost its licence"):
        assert shown in printed

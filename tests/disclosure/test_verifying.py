"""verify_bundle.py as a stranger runs it: a bare Python, the ZIP or the folder, and whatever was done to them."""

import ast
import io
import json
import shutil
import zipfile
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from mugsearch.audit.models import Entry
from mugsearch.disclosure import links
from mugsearch.disclosure import verify_bundle as verifier
from mugsearch.disclosure.verify_bundle import Bundle, Refused, check_conclusions, check_images, check_outcome
from mugsearch.vault import signing
from tests.disclosure.arrange import VERIFIER, bundle_of, content_of, files_of, unpacked, verified, with_lead
from tests.reviews.arrange import FILLED, candidate, forget

# Of RFC 8032, section 7.1: (public key, message, signature), tests 1, 2, 3 and SHA(abc).
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
            "655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
            "b00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
            "c027beceea1ec40a"
        ),
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        sha512(b"abc").hexdigest(),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17a"
            "d9bef1177331a704"
        ),
    ),
]
NAMES = [
    *("probe.png", "candidates/01.png", "bundle.json", "bundle.html", "schema.json", "verify_bundle.py", "read_me.txt"),
    *("audit/000001.jsonl", "manifest.json", "head.json", "head.sig"),
]


@pytest.fixture
def bundle(transactional_db: None) -> bytes:
    return bundle_of(with_lead(2))


def zipped(folder: Path, data: bytes) -> Path:
    (folder / "bundle.zip").write_bytes(data)
    return folder / "bundle.zip"


def checked(path: Path, key: str | None = None, head: str | None = None) -> str:
    """In this process, for what is tried many times; raises what `main` turns into REFUSED."""
    return "\n".join(verifier.check(verifier.Bundle(path), key, head))


def refused(path: Path) -> bool:
    return verifier.main([str(path)]) == 1


def test_a_bundle_fits_as_a_zip_and_as_a_folder_in_a_bare_python(bundle: bytes, tmp_path: Path) -> None:
    path = zipped(tmp_path, bundle)
    for place in (path, unpacked(bundle, tmp_path / "folder")):
        code, said = verified(place, "--key", signing.fingerprint())
        assert code == 0, said
        assert said.endswith("Everything fits.\n")
        assert "signed with the key whose fingerprint you gave" in said
        assert "none is missing" in said
        assert "not disclosed" in said
        assert "worksheets of 2 examinations are those the audit recorded" in said


def test_the_one_inside_checks_its_own_folder(bundle: bytes, tmp_path: Path) -> None:
    import subprocess
    import sys

    inside = unpacked(bundle, tmp_path) / "verify_bundle.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(inside)], capture_output=True, text=True, check=False, env={}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert signing.fingerprint() in done.stdout
    assert "compare it with the fingerprint" in done.stdout


def test_the_fingerprint_may_be_typed_as_people_write_it(bundle: bytes, tmp_path: Path) -> None:
    typed = ":".join(signing.fingerprint()[place : place + 2].upper() for place in range(0, 64, 2))
    assert verified(zipped(tmp_path, bundle), "--key", typed)[0] == 0


def test_another_key_is_refused(bundle: bytes, tmp_path: Path) -> None:
    code, said = verified(zipped(tmp_path, bundle), "--key", "0" * 64)
    assert code == 1
    assert "another key" in said
    assert verified(tmp_path / "bundle.zip", "--key", "")[0] == 1


@pytest.mark.parametrize("name", NAMES)
def test_one_byte_changed_in_any_file_is_refused(bundle: bytes, tmp_path: Path, name: str) -> None:
    folder = unpacked(bundle, tmp_path)
    whole = (folder / name).read_bytes()
    size = len(whole)
    for place in sorted({0, 1, size // 3, size // 2, size - 2, size - 1}):
        for flip in (1, 0x20, 0x80):
            damaged = bytearray(whole)
            damaged[place] ^= flip
            (folder / name).write_bytes(damaged)
            assert refused(folder), (place, flip)
    for other in (whole + b"\n", whole[:-1], b""):
        (folder / name).write_bytes(other)
        assert refused(folder)
    code, said = verified(folder)
    assert code == 1
    assert said.splitlines()[-1].startswith("REFUSED")
    (folder / name).write_bytes(whole)
    assert not refused(folder)


def test_any_byte_changed_in_the_zip_is_refused_packaging_included(bundle: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    places = {*range(0, len(bundle), 997), *range(60), *range(len(bundle) - 120, len(bundle))}
    for header in (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"):
        at = bundle.rfind(header)
        places |= set(range(at, min(at + 60, len(bundle))))
    for place in sorted(places):
        damaged = bytearray(bundle)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert refused(path), place
    for other in (bundle + b"x", bundle[:-1], b"x" + bundle, b""):
        path.write_bytes(other)
        assert refused(path)


def test_every_byte_of_the_signed_head_and_of_the_signature_counts(bundle: bytes, tmp_path: Path) -> None:
    folder = unpacked(bundle, tmp_path)
    for name in ("head.json", "head.sig"):
        whole = (folder / name).read_bytes()
        for place in range(len(whole)):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            (folder / name).write_bytes(damaged)
            assert refused(folder), (name, place)
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_refused(bundle: bytes, tmp_path: Path, name: str) -> None:
    folder = unpacked(bundle, tmp_path)
    (folder / name).unlink()
    code, said = verified(folder)
    assert code == 1
    assert "missing" in said or "audit" in name


def test_a_file_more_is_refused(bundle: bytes, tmp_path: Path) -> None:
    folder = unpacked(bundle, tmp_path)
    (folder / "candidates" / "99.png").write_bytes(b"")
    code, said = verified(folder)
    assert code == 1
    assert "candidates/99.png does not belong" in said


def test_a_zip_packed_anew_is_refused_with_what_to_do(bundle: bytes, tmp_path: Path) -> None:
    files, other = files_of(bundle), io.BytesIO()
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    code, said = verified(zipped(tmp_path, other.getvalue()))
    assert code == 1
    assert "unpack it and check the folder" in said


def forged(folder: Path, key: Ed25519PrivateKey) -> None:
    """Manifest, head and signature made anew over what is in the folder now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for one in manifest["files"]:
        data = (folder / one["name"]).read_bytes()
        one.update(sha256=sha256(data).hexdigest(), size=len(data))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    head = json.loads((folder / "head.json").read_text())
    head["manifest_sha256"] = sha256((folder / "manifest.json").read_bytes()).hexdigest()
    head["public_key"] = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    (folder / "head.json").write_text(json.dumps(head))
    (folder / "head.sig").write_bytes(key.sign((folder / "head.json").read_bytes()))


def test_a_bundle_signed_anew_by_somebody_else_shows_by_its_key(bundle: bytes, tmp_path: Path) -> None:
    folder = unpacked(bundle, tmp_path)
    (folder / "bundle.html").write_text("<p>Something else</p>")
    forged(folder, Ed25519PrivateKey.generate())
    assert verified(folder)[0] == 0  # it fits, and names a key that is not the agency's
    assert signing.fingerprint() not in verified(folder)[1]
    assert verified(folder, "--key", signing.fingerprint())[0] == 1


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_even_the_agency_can_not_sign_an_entry_that_is_not_in_the_chain(
    bundle: bytes, tmp_path: Path, settings: object, place: str
) -> None:
    """Whoever holds the key rewrites an entry, with a digest to match, in content and chain, and signs all of it."""
    folder = unpacked(bundle, tmp_path)
    content = json.loads((folder / "bundle.json").read_text())
    shown = content["audit"]["entries"]
    entry = {"first": shown[0], "middle": shown[len(shown) // 2], "last": shown[-1]}[place]
    entry["actor"] = "00000000-0000-4000-8000-000000000000"
    plain = {name: value for name, value in entry.items() if name != "digest"}
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    entry["digest"] = sha256(canonical.encode()).hexdigest()
    lines = (folder / "audit/000001.jsonl").read_text().splitlines()
    lines[entry["number"] - content["audit"]["first"]] = json.dumps({"canonical": canonical}, ensure_ascii=False)
    (folder / "audit/000001.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "bundle.json").write_text(json.dumps(content, ensure_ascii=False))
    forged(folder, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(settings.MUGSEARCH_SIGNING_KEY)))  # type: ignore[attr-defined]
    code, said = verified(folder, "--key", signing.fingerprint())
    assert code == 1
    assert "chain" in said


def test_even_the_agency_can_not_sign_conclusions_that_were_not_locked(
    bundle: bytes, tmp_path: Path, settings: object
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(settings.MUGSEARCH_SIGNING_KEY))  # type: ignore[attr-defined]
    folder = unpacked(bundle, tmp_path)
    whole = (folder / "bundle.json").read_text()
    drawn = FILLED["scars"]["drawn"]
    moved = {**FILLED, "scars": {"said": "similar", "drawn": [{**drawn[0], "probe": [0.2501, 0.5]}, drawn[1]]}}
    renumbered = {**FILLED, "scars": {"said": "similar", "drawn": drawn[::-1]}}
    undrawn = {**FILLED, "scars": {"said": "similar"}}
    worksheets = [("worksheet", one) for one in ({}, moved, renumbered, undrawn)]
    for field, other in (("conclusion", "2"), ("notes", "The right ear"), *worksheets):
        content = json.loads(whole)
        content["examinations"][0]["findings"][0][field] = other
        (folder / "bundle.json").write_text(json.dumps(content, ensure_ascii=False))
        forged(folder, key)
        code, said = verified(folder, "--key", signing.fingerprint())
        assert code == 1
        assert "not those the audit recorded" in said
    content = json.loads(whole)
    del content["examinations"][0]["findings"][1]
    (folder / "bundle.json").write_text(json.dumps(content, ensure_ascii=False))
    forged(folder, key)
    assert refused(folder)


def test_conclusions_that_can_not_be_compared_any_more_are_said_to_be_so(
    transactional_db: None, tmp_path: Path
) -> None:
    search = with_lead(2)
    forget(candidate(search, 2))
    code, said = verified(zipped(tmp_path, bundle_of(search)))
    assert code == 0, said
    assert "of 0 examinations are those the audit recorded. Of 2 this can't be told" in said


def test_links_can_be_neither_left_out_nor_put_in_nor_swapped(bundle: bytes, tmp_path: Path, settings: object) -> None:
    folder, key = (
        unpacked(bundle, tmp_path),
        Ed25519PrivateKey.from_private_bytes(
            bytes.fromhex(settings.MUGSEARCH_SIGNING_KEY)  # type: ignore[attr-defined]
        ),
    )
    whole = (folder / "audit/000001.jsonl").read_text().splitlines()
    closed = [place for place, line in enumerate(whole) if '"state"' in line]
    assert len(closed) >= 3
    one, other = closed[0], closed[1]
    swapped = list(whole)
    swapped[one], swapped[other] = whole[other], whole[one]
    for lines in (whole[:one] + whole[one + 1 :], whole[: one + 1] + whole[one:], swapped, whole[:-1]):
        (folder / "audit/000001.jsonl").write_text("\n".join(lines) + "\n")
        forged(folder, key)
        assert refused(folder)
    (folder / "audit/000001.jsonl").write_text("\n".join(whole) + "\n")
    forged(folder, key)
    assert not refused(folder)


def test_a_head_kept_outside_is_found_in_the_chain(bundle: bytes, tmp_path: Path) -> None:
    path = zipped(tmp_path, bundle)
    closed = Entry.objects.filter(act="thing.done").latest("number")
    code, said = verified(path, "--head", f"{closed.number}:{closed.digest}")
    assert code == 0
    assert "The head you gave is in that chain" in said
    assert verified(path, "--head", f"{closed.number}:{'0' * 64}")[0] == 1
    assert verified(path, "--head", "1:" + "0" * 64)[0] == 1


@pytest.mark.parametrize("per_file", [1, 7])
def test_a_long_record_is_cut_into_files(
    transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_file: int
) -> None:
    monkeypatch.setattr(links, "PER_FILE", per_file)
    monkeypatch.setattr(links, "_AT_ONCE", 3)
    made = bundle_of(with_lead(2))
    assert "audit/000002.jsonl" in files_of(made)
    code, said = verified(zipped(tmp_path, made))
    assert code == 0, said


def test_nonsense_is_refused_and_a_wrong_call_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refused(empty)
    with pytest.raises(SystemExit) as ended:
        verifier.main([str(tmp_path / "nothing")])
    assert ended.value.code == 2
    shutil.rmtree(empty)


def test_it_is_written_for_python_3_8_and_its_standard_library() -> None:
    tree = ast.parse(VERIFIER.read_text(), feature_version=(3, 8))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {
        *("__future__", "argparse", "binascii", "hashlib", "hmac", "json", "re", "struct", "sys", "pathlib", "typing"),
        "collections.abc",
    }


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_rfc_8032_fit_and_no_bit_of_them_may_differ(key: str, message: str, signature: str) -> None:
    known = [bytes.fromhex(one) for one in (key, message, signature)]
    assert verifier.signature_fits(*known)
    for part in range(3):
        for place in range(0, 8 * len(known[part]), 37):
            damaged = bytearray(known[part])
            damaged[place // 8] ^= 1 << place % 8
            assert not verifier.signature_fits(*[*known[:part], bytes(damaged), *known[part + 1 :]])


def test_a_second_signature_of_the_same_message_does_not_fit() -> None:
    """s + the order of the base point: RFC 8032 has it refused."""
    key, message, signature = (bytes.fromhex(one) for one in VECTORS[2])
    s = int.from_bytes(signature[32:], "little") + verifier.ORDER
    assert not verifier.signature_fits(key, message, signature[:32] + s.to_bytes(32, "little"))


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=300))
def test_what_cryptography_signs_fits(seed: bytes, message: bytes) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = private.sign(message)
    assert verifier.signature_fits(public, message, signature)
    assert not verifier.signature_fits(public, message + b"x", signature)
    assert not verifier.signature_fits(public, message, signature[32:] + signature[:32])


@given(messages=st.lists(st.binary(min_size=78, max_size=400), max_size=6))
def test_sha_256_taken_up_in_the_middle_comes_to_the_same(messages: list[bytes]) -> None:
    blocks = [(len(one) - 78) // 64 for one in messages]
    for one, count, state in zip(messages, blocks, links.states(messages, blocks), strict=True):
        words = [int.from_bytes(state[place : place + 4], "big") for place in range(0, 32, 4)]
        assert verifier.digest_from(words, one[count * 64 :], len(one)) == sha256(one).hexdigest()


def _checked(content: Any) -> None:
    check_conclusions(content)
    check_outcome(content)


@pytest.fixture
def content() -> Any:
    search = with_lead(4)
    return content_of(bundle_of(search))


def _concluded(content: Any) -> Any:
    return next(one for one in content["examinations"] if one["state"] == "concluded")


def _nulls_the_secret_and_turns_a_conclusion(content: Any) -> None:
    _concluded(content)["secret"] = None
    _concluded(content)["findings"][0]["conclusion"] = "-3"


def _drops_an_examination(content: Any) -> None:
    content["examinations"].remove(_concluded(content))


def _releases_an_examination(content: Any) -> None:
    _concluded(content).update(state="released", findings=[])


def _names_another_examiner(content: Any) -> None:
    _concluded(content)["examiner"] = {"id": "somebody", "name": "else"}


def _changes_a_rating(content: Any) -> None:
    _concluded(content)["findings"][0]["rating"] = 0


def _changes_what_is_said_of_a_candidate(content: Any) -> None:
    content["candidates"][0]["conclusions"] = []


def _changes_the_outcome(content: Any) -> None:
    content["decision"]["outcome"] = "no_lead"


def _drops_the_lead(content: Any) -> None:
    content["lead"] = None


@pytest.mark.parametrize(
    "change",
    [
        _nulls_the_secret_and_turns_a_conclusion,
        _drops_an_examination,
        _releases_an_examination,
        _names_another_examiner,
        _changes_a_rating,
        _changes_what_is_said_of_a_candidate,
        _changes_the_outcome,
        _drops_the_lead,
    ],
)
@pytest.mark.django_db(transaction=True)
def test_whoever_can_sign_still_can_not_contradict_the_record(change: Any, content: Any) -> None:
    assert "2 examinations are those the audit recorded" in check_conclusions(content)
    _checked(content)
    change(content)
    with pytest.raises(Refused):
        _checked(content)


@pytest.mark.django_db(transaction=True)
def test_an_image_that_the_content_speaks_of_is_the_file_of_its_name_and_a_folder_holds_no_link(tmp_path: Path) -> None:
    folder = unpacked(bundle_of(with_lead()), tmp_path)
    bundle, content = Bundle(folder), json.loads((folder / "bundle.json").read_bytes())
    check_images(bundle, content)
    content["probe"]["image"]["sha256"] = "0" * 64
    with pytest.raises(Refused, match=r"another image than the file probe\.png"):
        check_images(bundle, content)
    (folder / "elsewhere").symlink_to("/usr/share")
    with pytest.raises(Refused, match="holds a link"):
        Bundle(folder)

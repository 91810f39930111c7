"""The real encoders on real photographs, and the fake one everybody else's tests rely on."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mugsearch.engine import encoders
from mugsearch.engine.encoders import Encoder, Face
from mugsearch.engine.images import decode
from mugsearch.errors import Unavailable
from tests.fakes import FakeEncoder, person_vector, synthetic_photo


def _ranks_first(vectors: NDArray[np.float64], people: list[str]) -> tuple[int, int]:
    """(probes whose nearest other photograph is of the same person, probes that have one)."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    probes = [place for place, person in enumerate(people) if people.count(person) > 1]
    return sum(people[int(scores[place].argmax())] == people[place] for place in probes), len(probes)


@pytest.mark.models
def test_every_mugshot_gives_one_face_and_leaving_one_out_finds_its_person(
    opencv: Encoder, mugshots: list[tuple[str, str, NDArray[np.uint8]]]
) -> None:
    people, vectors = [], []
    for person, _pose, pixels in mugshots:
        faces = opencv.faces(pixels)
        assert len(faces) == 1, person
        people.append(person)
        vectors.append(opencv.embed(pixels, faces[0]))
    assert (_ranks_first(np.array(vectors, np.float64), people)) == (82, 82)


@pytest.mark.models
def test_the_same_photograph_gives_the_same_face_and_vector_in_every_thread(
    opencv: Encoder, mugshots: list[tuple[str, str, NDArray[np.uint8]]]
) -> None:
    pixels = mugshots[0][2]

    def encode(_turn: int) -> tuple[list[Face], bytes]:
        faces = opencv.faces(pixels)
        return faces, opencv.embed(pixels, faces[0]).tobytes()

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(encode, range(6)))
    assert all(result == results[0] for result in results)
    vector = np.frombuffer(results[0][1], np.float32)
    assert vector.shape == (opencv.dimension,)
    assert abs(np.linalg.norm(vector.astype(np.float64)) - 1) < 1e-5


@pytest.mark.models
def test_landmarks_run_from_left_to_right_as_seen(
    opencv: Encoder, mugshots: list[tuple[str, str, NDArray[np.uint8]]]
) -> None:
    frontal = [pixels for _person, pose, pixels in mugshots if pose == "Frontal"][:10]
    for pixels in frontal:
        right_eye, left_eye, nose, right_mouth, left_mouth = opencv.faces(pixels)[0].landmarks
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_mouth[0] < left_mouth[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


@pytest.mark.models
def test_large_and_close_photographs_give_the_face_too(
    opencv: Encoder, mugshots: list[tuple[str, str, NDArray[np.uint8]]]
) -> None:
    pixels = mugshots[0][2]
    face = opencv.faces(pixels)[0]
    height, width = pixels.shape[:2]
    for factor in (0.4, 5.0):
        size = (round(width * factor), round(height * factor))
        scaled = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
        (found,) = opencv.faces(scaled)
        assert np.abs(np.array(found.box) / factor - face.box).max() < 0.1 * face.box[3]
        assert opencv.embed(scaled, found) @ opencv.embed(pixels, face) > 0.85
    x, y, w, h = (round(value) for value in face.box)
    close = np.ascontiguousarray(pixels[max(y, 0) : y + h, max(x, 0) : x + w])
    found = opencv.faces(close)[0]
    assert opencv.embed(close, found) @ opencv.embed(pixels, face) > 0.6


@pytest.mark.models
@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (40, 40), (700, 3)])
def test_pictures_without_a_face_give_none(opencv: Encoder, shape: tuple[int, int]) -> None:
    assert opencv.faces(np.full((*shape, 3), 90, np.uint8)) == []


@pytest.mark.models
def test_an_insightface_pack_is_a_folder_and_its_licence_says_what_it_forbids(
    data: Path, mugshots: list[tuple[str, str, NDArray[np.uint8]]], capsys: pytest.CaptureFixture[str]
) -> None:
    pack = encoders.load(f"insightface:{data / 'insightface-pack'}")
    assert pack.dimension == 128
    assert not pack.commercial_use
    assert "non-commercial" in pack.licence
    people, vectors = [], []
    for person, _pose, pixels in mugshots[:30]:
        face = pack.faces(pixels)[0]
        people.append(person)
        vectors.append(pack.embed(pixels, face))
    first, probes = _ranks_first(np.array(vectors, np.float64), people)
    assert first == probes
    assert capsys.readouterr().out == ""


@pytest.mark.models
def test_missing_or_changed_weights_are_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opencv: Encoder
) -> None:
    from mugsearch.engine.encoders import opencv as module

    for spec in (
        f"opencv:{tmp_path}",
        "insightface",
        "insightface:buffalo_l_that_is_not_here",
        f"insightface:{tmp_path}",
        "nothing",
    ):
        with pytest.raises(Unavailable):
            encoders.load(spec)
    weights = tmp_path / "models"
    shutil.copytree(module._packaged(), weights)
    assert encoders.load(f"opencv:{weights}").digest == opencv.digest
    monkeypatch.setattr(module, "_packaged", lambda: weights)
    changed = weights / "face_detection_yunet_2023mar_int8bq.onnx"
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    with pytest.raises(Unavailable, match="not the ones"):
        encoders.load("opencv")


def test_a_face_survives_json() -> None:
    face = Face(
        box=(1.5, 2, 30, 40.25),
        landmarks=((1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.0, 8.0), (9.0, 10.5)),
        score=0.875,
    )
    described = json.loads(json.dumps(face.to_dict()))
    assert Face.from_dict(described) == face
    for wrong in ({}, {**described, "box": [1, 2, 3]}, {**described, "score": "high"}, {**described, "landmarks": []}):
        with pytest.raises(ValueError):  # noqa: PT011  (which of the three is wrong is not part of the promise)
            Face.from_dict(wrong)


def test_the_fake_encoder_sees_who_was_drawn() -> None:
    fake: Encoder = FakeEncoder()
    pixels = decode(synthetic_photo(41, faces=3)).pixels
    faces = fake.faces(pixels)
    assert len(faces) == 3
    for person, face in zip((41, 42, 43), faces, strict=True):
        assert (fake.embed(pixels, face) == person_vector(person)).all()
    assert fake.faces(decode(synthetic_photo(41, faces=0)).pixels) == []
    again = decode(synthetic_photo(41, variant=3, size=(300, 200))).pixels
    same = float(fake.embed(again, fake.faces(again)[0]) @ person_vector(41))
    strangers = [abs(float(person_vector(41) @ person_vector(other))) for other in range(100, 200)]
    assert 0.8 < same < 0.999
    assert max(strangers) < 0.5

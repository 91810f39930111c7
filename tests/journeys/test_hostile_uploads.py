"""Malformed, polyglot, multi-frame and outsized files, through the API, many at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from rest_framework.test import APIClient

from mugsearch.accounts.models import User
from mugsearch.probes.models import Probe
from mugsearch.vault import services as vault
from tests import factories
from tests.fakes import synthetic_photo
from tests.journeys.test_api_journey import PURPOSE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shared]


def upload(user: User, name: str, data: bytes) -> tuple[int, float, bytes]:
    client = factories.signed_in(APIClient(), user)
    body = {**PURPOSE, "case_number": "26-1", "image": SimpleUploadedFile("x", data)}
    started = time.monotonic()
    try:
        response = client.post("/api/v1/probes", body, format="multipart")
        return response.status_code, time.monotonic() - started, response.content
    finally:
        connection.close()


def test_no_hostile_file_gets_more_than_a_clear_refusal(shared: Path):
    user = factories.investigator()
    files = sorted(path for path in (shared / "data" / "hostile").iterdir() if path.is_file())
    assert len(files) > 500
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda path: upload(user, path.name, path.read_bytes()), files))
    odd = {
        path.name: status
        for path, (status, _, content) in zip(files, answers, strict=True)
        if status not in (201, 400, 422) or b"Traceback" in content
    }
    assert odd == {}
    assert max(seconds for _, seconds, _ in answers) < 5
    taken = sum(status == 201 for status, _, _ in answers)
    assert taken == Probe.objects.count()
    assert len(vault.files()) == taken  # what was refused left nothing behind
    assert upload(user, "healthy", synthetic_photo(1))[0] == 201

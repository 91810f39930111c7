"""Web processes stay light: models and the search kernel cost memory in every process."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import environment

PROGRAM = """
import sys
import mugsearch.wsgi
from django.urls import get_resolver
get_resolver().url_patterns
[pattern for pattern in get_resolver().reverse_dict]
print([name for name in ("numkong", "faiss", "cv2", "onnxruntime", "insightface") if name in sys.modules])
"""


@pytest.mark.django_db  # it looks at its rights in the database before it serves
def test_a_web_process_loads_no_model_runtime_and_no_index(settings: Any) -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment(settings),
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"

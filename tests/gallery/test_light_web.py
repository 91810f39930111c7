"""Web processes stay light: models and the search kernel cost memory in every process."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import mugsearch.wsgi
from django.urls import get_resolver
get_resolver().url_patterns
[pattern for pattern in get_resolver().reverse_dict]
print([name for name in ("numkong", "faiss", "cv2", "onnxruntime", "insightface") if name in sys.modules])
"""


def test_a_web_process_loads_no_model_runtime_and_no_index() -> None:
    environ = {**os.environ, "SECRET_KEY": "x", "MUGSEARCH_MASTER_KEY": "0" * 64, "MUGSEARCH_SIGNING_KEY": "0" * 64}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"

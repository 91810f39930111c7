"""What the engine's tests share: the real photographs, where they are, and the real encoder, loaded once."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mugsearch.engine import encoders
from mugsearch.engine.encoders import Encoder

_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    if not _DATA.is_dir():
        pytest.skip("the photographs of ../shared/data are not on this machine")
    return _DATA


@pytest.fixture(scope="session")
def opencv() -> Encoder:
    return encoders.load("opencv")


@pytest.fixture(scope="session")
def mugshots(data: Path) -> list[tuple[str, str, NDArray[np.uint8]]]:
    """(person, pose, pixels) of all MEDS photographs."""
    with (data / "meds" / "manifest.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return [
        (row["person_id"], row["pose"], np.array(Image.open(data / "meds" / row["photo"]).convert("RGB")))
        for row in rows
    ]

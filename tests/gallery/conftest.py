"""What tests of a rebuild start from."""

from typing import Any

import pytest

from mugsearch.gallery import filling, tasks, vectors
from mugsearch.gallery.models import Template


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes two templates, so a gallery of seven is not rebuilt by the way."""
    monkeypatch.setattr(filling, "BATCH", 2)
    monkeypatch.setattr(tasks, "SLICE", 0.0)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The templates whose vectors were unsealed, in that order."""
    done: list[int] = []
    unseal = vectors.unseal

    def counted(template: Template, into: Any) -> None:
        unseal(template, into)
        done.append(template.pk)

    monkeypatch.setattr(vectors, "unseal", counted)
    return done

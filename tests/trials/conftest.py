from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def policy_of(settings, tmp_path: Path) -> Callable[..., None]:
    """`policy_of(list_size=2)`: the default policy with other numbers."""

    def put(**values: int) -> None:
        lines = settings.MUGSEARCH_POLICY.read_text().splitlines()
        for name, value in values.items():
            assert any(line.startswith(f"{name} = ") for line in lines)
            lines = [f"{name} = {value}" if line.startswith(f"{name} = ") else line for line in lines]
        settings.MUGSEARCH_POLICY = tmp_path / "policy.toml"
        settings.MUGSEARCH_POLICY.write_text("\n".join(lines))

    return put


@pytest.fixture
def short_lists(policy_of) -> None:
    """Of two people, so that many trials need little material."""
    policy_of(list_size=2)

"""What a machine without containers can say about docker-compose.yml, its Dockerfile and the guide's chapter on them.

The file was started for once and mended; these hold what was learnt. They start nothing.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin import beat, control, worker
from celery.bin.base import CLIContext
from django.conf import settings
from django.core.management import get_commands
from gunicorn.config import Config

from mugsearch.celery import app
from mugsearch.launch.places import CHECKOUT

COMPOSE = CHECKOUT / "docker-compose.yml"
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
HOST = "mugsearch.example.gov"
OF_OURS = ("migrate", "web", "search-worker", "import-worker", "maintenance-worker", "scheduler")
WORKERS = {name: name.removesuffix("-worker") for name in OF_OURS if name.endswith("-worker")}
TELL = """
import json
from django.conf import settings as s
db, owner = s.DATABASES["default"], s.MUGSEARCH_OWNER_DATABASE
print(json.dumps([db["USER"], db["PASSWORD"], owner.get("USER"), owner.get("PASSWORD"), db["NAME"], s.ALLOWED_HOSTS,
    s.CSRF_TRUSTED_ORIGINS, s.CELERY_BROKER_URL, bool(s.SECURE_PROXY_SSL_HEADER), str(s.VAR)]))
"""


@pytest.fixture(scope="module")
def file() -> dict[str, Any]:
    """As Compose reads it, with what .env has."""
    given = {"MUGSEARCH_HOST": HOST}

    def value(found: re.Match[str]) -> str:
        name, _, default = found[1].partition(":")
        return given.get(name, default.removeprefix("-"))

    return dict(yaml.safe_load(re.sub(r"\$\{([^}]+)\}", value, COMPOSE.read_text())))


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder that the commands at the head of the file make."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl on this machine")
    head = COMPOSE.read_text().partition("\nx-closed")[0]
    lines = [line.removeprefix("#   ") for line in head.splitlines() if line.startswith("#   ")]
    assert lines[-1] == "docker compose up --build --detach"
    shell = shutil.which("bash") or "sh"
    subprocess.run([shell, "-euc", "\n".join(lines[:-1])], cwd=tmp_path, check=True, timeout=30)
    assert (tmp_path / ".env").read_text().strip() == f"MUGSEARCH_HOST={HOST}"
    return tmp_path / "secrets"


def test_the_commands_at_the_head_make_every_secret_and_no_other(file: dict[str, Any], secrets: Path) -> None:
    made = {f"./secrets/{one.name}" for one in secrets.iterdir() if one.stat().st_size}
    assert made == {secret["file"] for secret in file["secrets"].values()}
    assert secrets.stat().st_mode & 0o077 == 0
    assert {one.stat().st_mode & 0o777 for one in secrets.iterdir()} == {0o444}


def test_every_secret_is_mounted_where_it_is_read_and_nowhere_else(file: dict[str, Any]) -> None:
    roles = (CHECKOUT / "docker" / "roles.sh").read_text()
    for name, service in file["services"].items():
        told = json.dumps(service.get("environment", {})) + (roles if name == "postgres" else "")
        assert set(re.findall(r"/run/secrets/(\w+)", told)) == set(service.get("secrets", [])), name
    used = {secret for service in file["services"].values() for secret in service.get("secrets", [])}
    assert used == set(file["secrets"])


def test_only_migrations_and_maintenance_are_told_the_owners_password_and_none_of_ours_the_superusers(
    file: dict[str, Any],
) -> None:
    told = {name: set(service.get("secrets", [])) for name, service in file["services"].items()}
    assert {name for name, mine in told.items() if "owner_database_url" in mine} == {"migrate", "maintenance-worker"}
    assert {name for name, mine in told.items() if "postgres_password" in mine} == {"postgres"}


@pytest.mark.parametrize("name", OF_OURS)
def test_the_settings_understand_what_each_container_is_told(file: dict[str, Any], secrets: Path, name: str) -> None:
    service = file["services"][name]
    told = {key: value.replace("/run/secrets", str(secrets)) for key, value in service["environment"].items()}
    stays = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    var = re.search(r"MUGSEARCH_VAR=(\S+)", DOCKERFILE)
    assert var
    assert service["volumes"] == [f"data:{var[1]}"]
    said = subprocess.run(
        [sys.executable, "-c", TELL],
        env={**stays, **told, "MUGSEARCH_VAR": var[1], "DJANGO_SETTINGS_MODULE": "mugsearch.settings"},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    password = {one: (secrets / f"{one}_password").read_text() for one in ("service", "owner")}
    owner = ["mugsearch", password["owner"]] if name in ("migrate", "maintenance-worker") else [None, None]
    assert json.loads(said.stdout) == [
        *("mugsearch_service", password["service"], *owner, "mugsearch"),
        *([HOST], [f"https://{HOST}"], "redis://redis:6379/0", True, var[1]),
    ]


def test_every_command_and_health_check_is_one_that_its_program_takes(file: dict[str, Any]) -> None:
    # Parsed only.
    obj = CLIContext(app=app, no_color=True, workdir=None, quiet=True)
    queues: set[str] = set()
    for name, worker_name in WORKERS.items():
        service = file["services"][name]
        assert service["command"][:6] == ["python", "-m", "celery", "-A", "mugsearch.celery:app", "worker"]
        given = worker.worker.make_context("worker", service["command"][6:], obj=obj).params
        assert given["hostname"].startswith(f"{worker_name}@")
        queues |= set(given["queues"])
        program, _, asked = service["healthcheck"]["test"][1].partition(" inspect ")
        assert program == "python -m celery -A mugsearch.celery:app"
        asks = control.inspect.make_context("inspect", asked.split(), obj=obj).params
        assert asks["destination"] == [f"{worker_name}@$$(hostname)"]
    assert queues == {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    scheduler = file["services"]["scheduler"]
    assert beat.beat.make_context("beat", scheduler["command"][6:], obj=obj).params["schedule"] == "/tmp/beat"  # noqa: S108  # the container's own
    ast.parse(scheduler["healthcheck"]["test"][3])
    healthy, serve = (json.loads(one) for one in re.findall(r"^ *CMD (\[.*\])$", DOCKERFILE, re.MULTILINE))
    ast.parse(healthy[2])
    assert serve[:3] == ["python", "-m", "gunicorn"]
    assert vars(Config().parser().parse_args(serve[3:]))["bind"] == ["0.0.0.0:8000"]


def test_containers_can_write_nothing_but_their_volumes_gain_no_right_and_reach_no_other_machine(
    file: dict[str, Any],
) -> None:
    for name, service in file["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["networks"] == (["inside", "front"] if name == "web" else ["inside"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    assert file["networks"]["inside"] == {"internal": True}
    # Not being internal, which would close its port too, it must not translate addresses either.
    assert file["networks"]["front"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"


def test_redis_answers_other_containers_and_postgresql_uses_no_old_log_again(file: dict[str, Any]) -> None:
    redis, postgres = (file["services"][name]["command"] for name in ("redis", "postgres"))
    assert redis[redis.index("--protected-mode") + 1] == "no"
    assert "wal_recycle=off" in postgres


def test_an_operator_sets_what_the_guide_lists_without_editing_the_file(file: dict[str, Any]) -> None:
    for name in OF_OURS:
        assert file["services"][name]["env_file"] == [{"path": "mugsearch.env", "required": False}]


def test_what_holds_secrets_beside_the_file_is_not_committed_nor_copied_into_the_image() -> None:
    assert {"secrets/", ".env", "mugsearch.env"} <= set((CHECKOUT / ".gitignore").read_text().splitlines())
    let_in = [line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE)
    assert sorted(copied) == sorted(let_in)
    ours = {app.partition(".")[0] for app in settings.INSTALLED_APPS if (CHECKOUT / app.partition(".")[0]).is_dir()}
    assert ours <= set(copied)


def test_every_container_and_command_that_the_guides_name_is_there(file: dict[str, Any]) -> None:
    texts = [COMPOSE.read_text(), *(guide.read_text() for guide in (CHECKOUT / "docs").glob("*.md"))]
    said = re.findall(r"docker compose (?:exec|run --rm)(?: -v \S+)? (\S+) python manage\.py (\w+)", "\n".join(texts))
    assert {command for _, command in said} >= {"add_agency", "add_user", "backup", "backup_keys", "restore"}
    # Docker doesn't start a container again that it was told to send a signal to, not even a harmless one.
    assert not any("docker compose kill" in text for text in texts)
    for service, command in said:
        assert service in OF_OURS
        assert command in get_commands(), command

"""The API as every role, with requests that schemathesis makes up from its schema: no server error, no ignored gate,
and every answer, refusals included, is of a status, a type and a shape that the schema says.

Left out of schemathesis' own checks are
- ignored_auth: it sends again to a server that listens. The role of nobody does the same here, cookies and tokens that
  are made up included;
- negative_data_rejection: what a schema doesn't say is passed over by the framework (another parameter, a number where
  a text is asked for), and that is no defect. Such requests are sent all the same, and their answers looked at;
- unsupported_method: a test of its own below asks every address, not the few that would be made up.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from rest_framework.test import APIClient
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

from mugsearch import matrix
from mugsearch.accounts.models import Role, User
from tests import factories
from tests.access.test_objects import OWN_TRANSACTION, undone
from tests.access.walking import filled, is_api, send
from tests.access.world import World, a_world

# Of an operation, by whether the gate lets the role in. The seed is fixed, so what was asked is asked again.
EXAMPLES = {True: 4, False: 1}
# Signing in, which has no role, the schema itself and its page.
NOT_ASKED = {"/api/v1/tokens", "/api/v1/tokens/current", "/api/v1/schema/", "/api/v1/docs/"}
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
HOST = "http://testserver"
SENT = {"method", "url", "headers", "files", "data", "json", "params", "cookies"}  # the rest says how to connect

Api = Callable[[User], APIClient]

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def gates() -> dict[tuple[str, str], frozenset[Role]]:
    rows = [row for row in matrix.rows() if is_api(row.endpoint)]
    return {(row.verb, _without_converters(row.endpoint)): row.roles for row in rows}


def _without_converters(path: str) -> str:
    """The schema calls parameters otherwise."""
    return re.sub(r"<[^>]+>|{[^}]+}", "{}", path)


def real_ids(world: World) -> dict[str, list[str]]:
    """Of each path without the names of its parameters: ids of something, in its order."""
    return {
        _without_converters(one.path): [str(id_) for id_ in world.ids_of(one).values()]
        for one in matrix.endpoints()
        if is_api(one.path) and one.parameters and one.name not in OWN_TRANSACTION
    }


def asked(client: Any, case: Any) -> Response:
    """What schemathesis would send, sent by the client of the test; and the answer as schemathesis reads one."""
    told = case.as_transport_kwargs(base_url=HOST)
    told["headers"] = {name: value for name, value in (told.get("headers") or {}).items() if str(value).isascii()}
    sent = requests.Request(**{name: told[name] for name in told if name in SENT}).prepare()
    body = sent.body.encode(errors="replace") if isinstance(sent.body, str) else sent.body or b""
    headers = dict(sent.headers)
    kind = headers.pop("Content-Type", "application/octet-stream")
    if client.cookies:  # who is signed in stays who they are; a stranger tries what was made up
        headers = {name: value for name, value in headers.items() if name not in ("Authorization", "Cookie")}
    with undone():
        answer = client.generic(sent.method, sent.url.removeprefix(HOST), body, content_type=kind, headers=headers)
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    came = {name: [value] for name, value in answer.headers.items()}
    return Response(answer.status_code, came, content, sent, elapsed=0, verify=False)


def made_up(operation: Any, ids: list[str] | None, examples: int, look: Callable[[Any], None]) -> None:
    """As the schema says with ids that are made up and with those of something; with the latter, as it does not say."""
    names = re.findall(r"{([^}]+)}", operation.path)

    def of_something(case: Any) -> None:
        case.path_parameters = dict(zip(names, ids or [], strict=True))
        look(case)

    _run(operation, GenerationMode.POSITIVE, examples, look)
    if names and ids:
        _run(operation, GenerationMode.POSITIVE, examples, of_something)
    if (ids or not names) and (operation.body or operation.query):
        _run(operation, GenerationMode.NEGATIVE, examples, of_something)


def _run(operation: Any, mode: GenerationMode, examples: int, look: Callable[[Any], None]) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        look(case)

    one()


@dataclass
class Looked:
    """What was wrong with the answers one role got, and the statuses each operation answered with."""

    client: Any
    role: Role | None
    wrong: dict[str, str] = field(default_factory=dict)
    statuses: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def at(self, case: Any, name: tuple[str, str], *, may: bool) -> None:
        answer = asked(self.client, case)
        status = answer.status_code
        self.statuses.setdefault(name, set()).add(status)
        if status >= 500 and status != 503:
            self.wrong[f"{name}: {status}"] = ""
        if not may and status not in ((401, 404) if self.role is None else (403, 404)):
            self.wrong[f"{name}: {status} where the matrix says no"] = ""
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                self.wrong[f"{name}: {status}: {failure.title}"] = failure.message


@pytest.fixture
def told(api: Api) -> Any:
    return api(factories.investigator()).get("/api/v1/schema/?format=json", HTTP_ACCEPT="application/json").json()


@pytest.mark.usefixtures("fake_encoder")
@pytest.mark.parametrize("role", [*Role, None], ids=str)
def test_no_made_up_request_fails_the_server_passes_a_gate_or_is_answered_against_the_schema(
    role: Role | None, told: Any, api: Api
) -> None:
    world, known = a_world(), gates()
    real = real_ids(world)
    client = APIClient() if role is None else api(world.holders[role])
    client.raise_request_exception = False
    looked = Looked(client, role)
    for result in schemathesis.openapi.from_dict(told).get_all_operations():
        operation = result.ok()
        if operation.path in NOT_ASKED:
            continue
        name = (operation.method.upper(), _without_converters(operation.path))
        may = role in known[name]
        made_up(operation, real.get(name[1]), EXAMPLES[may], lambda case: looked.at(case, name, may=may))  # noqa: B023  called before the next one
    assert looked.wrong == {}
    assert looked.statuses.keys() == {name for name in known if name[1] not in NOT_ASKED}
    read = {name for name, roles in known.items() if name[0] == "GET" and role in roles and name[1] not in NOT_ASKED}
    assert {name for name in read if 200 not in looked.statuses[name]} == set()


def others(path: str) -> Iterator[str]:
    taken = {verb for verb, known in gates() if known == _without_converters(path)}
    yield from sorted({"GET", "POST", "PUT", "PATCH", "DELETE"} - taken)


@pytest.mark.usefixtures("fake_encoder")
def test_another_verb_than_an_address_takes_is_told_those_it_takes(api: Api) -> None:
    world = a_world()
    sent = {role: api(user) for role, user in world.holders.items()}
    wrong = {}
    for endpoint in matrix.endpoints():
        rows = matrix.rows_of(endpoint) if is_api(endpoint.path) and endpoint.path not in NOT_ASKED else []
        for verb in others(endpoint.path) if rows else ():
            role = min(rows[0].roles)
            answer = send(sent[role], verb, filled(endpoint))
            allowed = {one.strip() for one in answer.headers.get("Allow", "").split(",")} - {"HEAD", "OPTIONS"}
            if answer.status_code != 405 or allowed != {row.verb for row in rows}:
                wrong[f"{verb} {endpoint.path}"] = (answer.status_code, sorted(allowed))
    assert wrong == {}


def test_what_is_at_no_address_of_the_api_is_answered_in_the_words_of_the_api(api: Api) -> None:
    answer = api(factories.investigator()).get("/api/v1/nothing")
    assert (answer.status_code, answer.json()["code"], set(answer.json())) == (404, "not_found", {"code", "detail"})


@pytest.mark.parametrize(
    ("status", "code", "sent"),
    [
        (401, "not_authenticated", lambda _: APIClient().get("/api/v1/cases")),
        (404, "not_found", lambda client: client.get("/api/v1/cases?page=99")),
        (405, "method_not_allowed", lambda client: client.post("/api/v1/cases")),
        (415, "unsupported_media_type", lambda client: client.post("/api/v1/probes", b"x", content_type="text/plain")),
    ],
    ids=["nobody", "no such page", "another verb", "another type"],
)
def test_every_refusal_has_a_code_and_a_sentence(status: int, code: str, sent: Any, api: Api) -> None:
    answer = sent(api(factories.investigator()))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert isinstance(answer.json()["detail"], str)


def test_the_schema_names_every_address_of_the_api(told: Any) -> None:
    named = {
        (verb.upper(), _without_converters(path))
        for path, verbs in told["paths"].items()
        for verb in verbs
        if verb != "parameters"
    }
    missing = {one for one in gates() if one not in named}
    assert missing <= {("GET", "/api/v1/schema/"), ("GET", "/api/v1/docs/")}
    assert Client().get("/api/v1/schema/").status_code == 401

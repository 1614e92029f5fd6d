"""The description of the API is complete, current, and kept."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from docs.generate import openapi
from scanner.api.problems import MEDIA_TYPE
from tests.api.conftest import Api, deployment, scan

OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: operation
    for methods in json.loads(openapi())["paths"].values()
    for operation in methods.values()
}


#: Few examples, the same in each run; the test's name tells which operation they are about.
SETTINGS = settings(
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_operation_ids_are_these() -> None:
    """Clients are generated from them: they stay."""
    assert sorted(OPERATIONS) == [
        "acknowledgeFinding",
        "canIdentity",
        "explainConnection",
        "getFinding",
        "getHome",
        "getLiveness",
        "getMetrics",
        "getPolicy",
        "getProblemType",
        "getReadiness",
        "getResource",
        "getScan",
        "getSecretAccess",
        "getSummary",
        "listConnectionChanges",
        "listExposure",
        "listFindings",
        "listPeers",
        "listPolicies",
        "listProposals",
        "listReadiness",
        "listResources",
        "listScans",
        "listSecrets",
        "listUsage",
        "postAuditEvents",
        "startScan",
        "unacknowledgeFinding",
        "whatCan",
        "whoCan",
    ]


@pytest.mark.parametrize("operation_id", sorted(OPERATIONS))
def test_every_operation_documents_its_problems(operation_id: str) -> None:
    """Each route names its errors, all as problems."""
    operation = OPERATIONS[operation_id]
    errors = {status: answer for status, answer in operation["responses"].items() if status >= "4"}
    assert {"405", "421", "500", "503"} <= errors.keys()
    assert all(list(answer["content"]) == [MEDIA_TYPE] for answer in errors.values())


@pytest.mark.parametrize("operation_id", sorted(OPERATIONS))
def test_every_parameter_is_described(operation_id: str) -> None:
    """No parameter without a word on what it does."""
    operation = OPERATIONS[operation_id]
    assert all(p.get("description") or p["in"] == "path" for p in operation.get("parameters", []))
    assert operation["summary"]
    assert operation["description"]


def test_every_text_of_an_answer_has_an_example() -> None:
    """Who reads the description sees what to expect."""
    schemas = json.loads(openapi())["components"]["schemas"]
    bare = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, shape in schema.get("properties", {}).items()
        if "example" not in schema and not {"enum", "const", "format", "examples"} & shape.keys()
        if shape.get("type") == "string"
    ]
    assert bare == ["ProblemDetail.location", "ProblemDetail.message"]


def test_service_describes_itself(sqlite_api: Api) -> None:
    """The description is served beside the API."""
    served = sqlite_api.get("/api/v1/openapi.json").json()
    assert served["paths"].keys() == json.loads(openapi())["paths"].keys()


@contextlib.contextmanager
def served(api: Api) -> Iterator[str]:
    """Serve over a real socket on this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api.app, lifespan="off", log_config=None, http="h11", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("operation_id", sorted(OPERATIONS))
def test_whatever_is_asked_the_api_keeps_its_description(api: Api, operation_id: str, mode: GenerationMode) -> None:
    """Made-up requests, right and wrong, get answers as described, and never a server error."""
    scan(api.engine, *(deployment(f"app-{n}") for n in range(3)))
    schema = schemathesis.openapi.from_dict(api.app.openapi()).include(operation_id=operation_id)
    (operation,) = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    with served(api) as url:

        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case[Any]) -> None:
            if mode is GenerationMode.POSITIVE and case.query:
                case.query.pop("cursor", None)  # only this service makes one that fits
            case.call_and_validate(base_url=url)

        try:
            SETTINGS(ask)()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # an operation without parameters can't be asked wrongly

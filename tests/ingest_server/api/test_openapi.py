"""The published contract is valid OpenAPI 3.1, holds every route, and the server keeps to it when it is fuzzed."""

import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema_rs
import pytest
import schemathesis
from backports import zstd

from ingest_server import errors
from ingest_server.api.application import ROUTES
from ingest_server.api.openapi import document
from ingest_server.model import TableName
from tests.asking import Asker
from tests.running import RunningServer

# One for each kind of answer that the handlers can give; whatever else an operation publishes, all of them publish.
_EVERYWHERE = {"400", "403", "500"}


def test_every_route_is_published_with_every_status() -> None:
    paths = document(ROUTES, "1.0")["paths"]
    assert {(route.method.lower(), route.path) for route in ROUTES} == {
        (method, path) for path, operations in paths.items() for method in operations
    }
    sending = paths["/v1/tables/{table}/batches"]["post"]
    assert set(sending["responses"]) - _EVERYWHERE == {
        "200",
        "202",
        "207",
        "404",
        "408",
        "409",
        "413",
        "415",
        "422",
        "401",
        "429",
        "503",
    }
    assert set(sending["responses"]["202"]["headers"]) >= {"Location", "Retry-After", "Idempotency-Replayed"}
    assert set(sending["requestBody"]["content"]) == {"application/x-ndjson", "application/json"}
    for operations in paths.values():
        for operation in operations.values():
            assert set(operation["responses"]) >= _EVERYWHERE
            for status in {"409", "429", "503"} & set(operation["responses"]):
                if "application/problem+json" in operation["responses"][status]["content"]:
                    assert "Retry-After" in operation["responses"][status]["headers"]
    identifiers = [operation["operationId"] for operations in paths.values() for operation in operations.values()]
    assert len(identifiers) == len(set(identifiers))


def test_allow_names_the_methods_of_its_own_route_only(asker: Asker) -> None:
    """`retry` and `groups` stand where a letter's id could."""
    for path, methods in (("retry", "POST"), ("groups", "GET,HEAD"), ("x", "DELETE,GET,HEAD")):
        answer = asker.ask("OPTIONS", f"/v1/dead-letters/{path}")
        assert (answer.status, answer.headers["Allow"]) == (405, methods)


def test_the_server_publishes_it(asker: Asker) -> None:
    answer = asker.get("/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    published = answer.json
    assert published["openapi"].startswith("3.1")
    assert set(published["paths"]) == {route.path for route in ROUTES}
    for schema in published["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


# A schema cannot say that a body is packed as the header beside it says: what is generated is packed so here.
PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@schemathesis.serializer("application/x-ndjson")
def as_ndjson(context: schemathesis.SerializationContext, value: Any) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return PACK.get((context.case.headers or {}).get("Content-Encoding"), bytes)(body)


@schemathesis.serializer("application/json")
def as_json(context: schemathesis.SerializationContext, value: Any) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    if not context.case.path.endswith("/batches"):
        return body
    return PACK.get((context.case.headers or {}).get("Content-Encoding"), bytes)(body)


def is_a_tables_name(text: str) -> bool:
    """What else a schema cannot say: how quotes and dots stand, and that 63 bytes are no 63 characters."""
    try:
        TableName.parse(text, "public")
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_fuzzed_requests_are_answered_as_published(
    shared_server: RunningServer, mode: schemathesis.GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(f"{shared_server.url}/openapi.json")
    fuzzed = 0
    negative = mode is schemathesis.GenerationMode.NEGATIVE
    with_something_to_get_wrong = {
        # any text may be a table's name
        route.path
        for route in ROUTES
        if route.parameters or route.body or "{" in route.path.replace("{table}", "")
    }
    for found in schema.get_all_operations():
        operation = found.ok()
        if negative and operation.path not in with_something_to_get_wrong:
            continue
        strategy = operation.as_strategy(generation_mode=mode)

        @hypothesis.settings(
            max_examples=60,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        )
        @hypothesis.given(case=strategy)
        def fuzz(case: schemathesis.Case) -> None:
            nonlocal fuzzed
            if not negative:
                body = case.body if isinstance(case.body, dict) else {}
                named = [(part or {}).get("table") for part in (case.path_parameters, case.query, body)]
                hypothesis.assume(all(name is None or is_a_tables_name(name) for name in named))
            fuzzed += 1
            if not negative and "Idempotency-Key" in (case.headers or {}):
                # nor can it say that a name is used once
                case.headers["Idempotency-Key"] = f"{case.headers['Idempotency-Key'][:200]}-{fuzzed}"
            case.call_and_validate()

        fuzz()
    assert fuzzed > 200


def test_the_page_for_people_names_every_path_status_and_problem() -> None:
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.RequestRefused)]
    for kind in kinds:
        if kind is not errors.RequestRefused:
            assert f"| `urn:scrapy-batching:problem:{kind.kind}` | {kind.status} |" in page
    for path, operations in document(ROUTES, "1.0")["paths"].items():
        for method, operation in operations.items():
            assert re.search(rf"{method.upper()}\s+{re.escape(path)}", page), path
            for status in operation["responses"]:
                assert re.search(rf"\b{status}\b", page), status
            for parameter in operation["parameters"]:
                assert re.search(rf"\b{parameter['name']}\b", page), parameter["name"]

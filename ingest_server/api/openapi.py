"""The published contract, OpenAPI 3.1, generated from the routes and the views."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ingest_server.api.context import PATH_PARTS, Body, Parameter, Route
from ingest_server.api.problems import MEDIA_TYPE
from ingest_server.api.views import ProblemView
from ingest_server.api.who import OPEN_PATHS

_SCHEMAS = "#/components/schemas/{model}"
_HEADERS: dict[str, dict[str, Any]] = {
    "Idempotency-Replayed": {
        "description": "`true`: a batch of this name was accepted before, and this is how it stands",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "WWW-Authenticate": {"description": "`Bearer`: a token is wanted", "schema": {"type": "string"}},
    "Location": {"description": "where the batch is looked at", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "what was honoured of Prefer", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "seconds after which it is worth to ask again",
        "schema": {"type": "integer", "minimum": 1, "maximum": 60},
    },
}
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "a token of `ingest-server tokens create`; its name is the owner of what is sent",
}
# Any request may break HTTP's own rules (400), name a foreign Host (403) or meet an error that is ours to mend (500).
_EVERYWHERE = (400, 403, 500)
_COME_AGAIN = (409, 429, 503)


def document(routes: Sequence[Route], version: str, *, tokens: bool = False) -> dict[str, Any]:
    """The whole document; with `tokens` it says that a token is wanted."""
    models = {view for route in routes for body in route.answers.values() for view in _models(body)} | {ProblemView}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema([(model, "serialization") for model in ordered], ref_template=_SCHEMAS)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ingest-server",
            "version": version,
            "description": "Batches of scraped items over HTTP, settled in PostgreSQL. Errors are RFC 9457 problems.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "paths": paths,
        "components": {"schemas": definitions["$defs"]} | ({"securitySchemes": {"token": _BEARER}} if tokens else {}),
    } | ({"security": [{"token": []}]} if tokens else {})


def _operation(route: Route) -> dict[str, Any]:
    is_open = route.path in OPEN_PATHS
    responses = {str(status): _response(route, status, body) for status, body in route.answers.items()}
    for status in sorted({*route.problems, *_EVERYWHERE, *(() if is_open else (401,))}):
        responses.setdefault(str(status), _problem(status))
    parts = [
        {"in": "path", "name": name, "required": True, "schema": PATH_PARTS[name]}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}",
        "summary": route.summary,
        "parameters": [*parts, *map(_parameter, route.parameters)],
        "responses": responses,
    }
    if is_open:
        operation["security"] = []
    if route.body:
        content = {media_type: {"schema": schema} for media_type, schema in route.body.items()}
        operation["requestBody"] = {"required": route.is_body_required, "content": content}
    return operation


def _parameter(one: Parameter) -> dict[str, Any]:
    return {"in": one.place, "name": one.name, "description": one.text, "schema": one.schema}


def _response(route: Route, status: int, body: Body | tuple[Body, ...]) -> dict[str, Any]:
    bodies = body if isinstance(body, tuple) else (body,)
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase, "content": {}}
    for one in bodies:
        response["content"] |= {one: {}} if isinstance(one, str) else {"application/json": {"schema": _ref(one)}}
    if names := route.headers.get(status):
        response["headers"] = {name: _HEADERS[name] for name in names}
    return response


def _problem(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": _ref(ProblemView)}},
    }
    if status == 401:
        response["headers"] = {"WWW-Authenticate": _HEADERS["WWW-Authenticate"]}
    if status in _COME_AGAIN:
        response["headers"] = {"Retry-After": _HEADERS["Retry-After"]}
    return response


def _models(body: Body | tuple[Body, ...]) -> Iterable[type[BaseModel]]:
    bodies = body if isinstance(body, tuple) else (body,)
    return (one for one in bodies if isinstance(one, type))


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}

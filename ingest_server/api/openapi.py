"""The published contract, OpenAPI 3.1, generated from the routes and the views."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ingest_server.api.context import Route
from ingest_server.api.problems import MEDIA_TYPE
from ingest_server.api.views import ProblemView

_SCHEMAS = "#/components/schemas/{model}"


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document."""
    models = {view for route in routes for view in route.answers.values() if isinstance(view, type)} | {ProblemView}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema([(model, "serialization") for model in ordered], ref_template=_SCHEMAS)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ingest-server", "version": version, "license": {"name": "BSD-3-Clause"}},
        "paths": paths,
        "components": {"schemas": definitions["$defs"]},
    }


def _operation(route: Route) -> dict[str, Any]:
    responses = {str(status): _response(status, view) for status, view in route.answers.items()}
    # 403: a foreign Host; 500: ours to mend
    for status in (*route.problems, 403, 500):
        responses.setdefault(
            str(status),
            {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _ref(ProblemView)}}},
        )
    parameters: list[dict[str, Any]] = [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    parameters += [
        {"in": one.place, "name": one.name, "description": one.text, "schema": one.schema} for one in route.parameters
    ]
    operation: dict[str, Any] = {"summary": route.summary, "parameters": parameters, "responses": responses}
    if route.body:
        content = {media_type: {"schema": schema} for media_type, schema in route.body.items()}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _response(status: int, view: type[BaseModel] | str) -> dict[str, Any]:
    content = {view: {}} if isinstance(view, str) else {"application/json": {"schema": _ref(view)}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}

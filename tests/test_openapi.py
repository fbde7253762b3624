"""The published document: OpenAPI 3.1, the same routes as are served, and every error code that anyone can meet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from push_service.app import Server
from push_service.model import errors
from push_service.model.errors import ServiceError
from tests.security.raw import exchange, request
from tests.support.people import Office
from tests.support.service import Service

ABSTRACT = {
    errors.NotAuthenticated,
    errors.Forbidden,
    errors.Conflict,
    errors.Throttled,
    errors.Unavailable,
}
"""Families: nobody is ever told of them but by a member."""
BESIDE_THE_INTERFACE = {errors.UnknownUser, errors.UnknownApplication, errors.NameTaken}
"""What only the operator's command line meets until administration has routes."""


@pytest.fixture
async def document(service: Service) -> dict[str, Any]:
    """The document as the running server publishes it."""
    async with service.session() as session, session.get("/openapi.json") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        found: dict[str, Any] = await response.json()
        return found


def family(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """A class of refusals with all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from family(below)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def test_it_is_a_valid_openapi_document(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    faults = [f"{list(fault.instance_path)}: {fault.message}" for fault in OPENAPI_31_VALIDATOR.iter_errors(document)]
    assert faults == []


def test_every_schema_is_a_valid_json_schema_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        assert jsonschema_rs.meta.is_valid(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"}), name
    references = set(re.findall(r'"\$ref":\s*"([^"]+)"', json.dumps(document)))
    assert references == {f"#/components/schemas/{name}" for name in schemas}


def test_operations_have_names_of_their_own_and_are_told_apart(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert all(operation["summary"] and operation["tags"] for _, _, operation in operations(document))


async def test_every_route_that_is_described_is_served(service: Service, document: dict[str, Any]) -> None:
    for method, path, _ in operations(document):
        concrete = re.sub(r"\{\w+\}", "x", path)
        found = await exchange(service.port, request(method.upper(), concrete, b"", "Connection: close"))
        assert [answer.status for answer in found] != [405], (method, path)
        assert b'"code":"not_found"' not in found[0].body, (method, path)


async def test_every_route_that_is_served_is_described(service: Service, document: dict[str, Any]) -> None:
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    described = {(method.upper(), path) for method, path, _ in operations(document)}
    for path in document["paths"]:
        concrete = re.sub(r"\{\w+\}", "x", path)
        found = await exchange(service.port, request("TRACE", concrete, b"", "Connection: close"))
        allowed = set(re.split(r",\s*", found[0].header("allow") or "")) & set(methods)
        assert allowed == {method for method in methods if (method, path) in described}, path


async def test_no_route_is_registered_beside_the_document(desk: Office, document: dict[str, Any]) -> None:
    """Of what the server's own router knows, only static files and preflights are no part of the interface."""
    registered = {
        (route.method.lower(), route.resource.canonical)
        for route in Server(desk.core).app.router.routes()
        if route.resource is not None and route.method != "OPTIONS" and route.resource.canonical != "/static"
    }
    assert registered == {(method, path) for method, path, _ in operations(document)}


def test_every_error_code_is_in_the_document_where_it_can_be_met(document: dict[str, Any]) -> None:
    told: dict[str, set[int]] = {}
    answers = [operation["responses"] for _, _, operation in operations(document)]
    anywhere = document["components"]["responses"]
    answers.append({"404": anywhere["NotFound"], "405": anywhere["MethodNotAllowed"]})
    for responses in answers:
        for status, reply in responses.items():
            problem = reply.get("content", {}).get("application/problem+json")
            if problem is None:
                continue
            for code in problem["schema"]["allOf"][1]["properties"]["code"]["enum"]:
                told.setdefault(code, set()).add(int(status))
    known: dict[str, set[int]] = {}
    for kind in family(ServiceError):
        known.setdefault(kind.code, set()).add(kind.status)
    due = {kind.code for kind in family(ServiceError) if kind not in ABSTRACT | BESIDE_THE_INTERFACE}
    assert due - set(told) == set()
    assert set(told) - set(known) == set()
    assert all(statuses == known[code] for code, statuses in told.items())


def test_what_may_be_refused_for_a_while_says_for_how_long(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        for status in {"429", "503"} & set(operation["responses"]):
            if "application/problem+json" in operation["responses"][status].get("content", {}):
                assert "Retry-After" in operation["responses"][status]["headers"], path


def test_every_operation_says_how_one_shows_who_one_is(document: dict[str, Any]) -> None:
    schemes = set(document["components"]["securitySchemes"])
    used = {name for _, _, operation in operations(document) for each in operation.get("security", []) for name in each}
    assert used == schemes

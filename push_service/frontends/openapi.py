"""The OpenAPI document, made from the routes themselves: bodies, answers and every error code that a route can give."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from push_service import __version__
from push_service.frontends.http import JSON, Problem, Route, UnexpectedError
from push_service.frontends.wire import SignInWire
from push_service.model import errors
from push_service.model.errors import ServiceError

_WITH_BODY = (errors.InvalidRequest, errors.BodyTooLarge, errors.UnsupportedMediaType)
_ANYWHERE = (errors.NotFound, errors.MethodNotAllowed)
"""What is answered on paths and by methods that are not in the document."""
_PARAMETER = re.compile(r"\{(\w+)\}")
_HEADERS = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "Names this request in the logs."},
}
_RETRY = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}}

Document = dict[str, object]


def document(routes: Sequence[Route], public_url: str) -> bytes:
    """OpenAPI 3.1 as JSON."""
    shapes = {shape for route in routes for shape in _shapes(route)} | {Problem}
    _, components = msgspec.json.schema_components(
        sorted(shapes, key=lambda each: each.__name__), ref_template=_REFERENCE
    )
    paths: dict[str, Document] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "push-service",
                "version": __version__,
                "description": "Multi-factor verification: sign-ins, devices, settings, operations.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": public_url}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": _SECURITY,
                "responses": {kind.__name__: _refusal(kind.status, (kind,)) for kind in _ANYWHERE},
            },
        }
    )


_REFERENCE = "#/components/schemas/{name}"

_SECURITY: Document = {
    "application": {"type": "http", "scheme": "basic", "description": "client_id and secret of an application."},
    "browser_token": {"type": "http", "scheme": "bearer", "description": "The browser_token of the 201."},
    "settings_token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The browser_token of a two-step sign-in for `settings`, or a registration token.",
    },
    "provider_signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Twilio-Signature",
        "description": "Made by the telephony provider for this address and form; see docs/protocol.md.",
    },
    "device_proof": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Proof <jwt>`, made by the device key for this request; see docs/protocol.md.",
    },
}


def _reference(shape: type) -> Document:
    return {"$ref": _REFERENCE.format(name=shape.__name__)}


def _operation(route: Route) -> Document:
    operation: Document = {
        "summary": route.summary,
        "tags": [route.tag],
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z]+', '_', route.path.lower()).strip('_') or 'root'}",
        "parameters": _parameters(route),
        "responses": {**_replies(route), **_refusals(route)},
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(route.body)}},
        }
    if route.security:
        operation["security"] = [{name: []} if name != "public" else {} for name in route.security]
    return operation


def _parameters(route: Route) -> list[Document]:
    found: list[Document] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        largest = {"wait": 60, "after": 2**53}
        found += [
            {"name": name, "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": largest[name]}}
            for name in (field.name for field in msgspec.structs.fields(route.query))
        ]
    if route.idempotent:
        schema = {"type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[!-~]+$"}
        found.append({"name": "Idempotency-Key", "in": "header", "schema": schema})
    return found


def _replies(route: Route) -> Document:
    made: Document = {}
    for status, shape in route.replies.items():
        reply: Document = {"description": route.summary, "headers": _HEADERS}
        if shape is not None:
            reply["content"] = {JSON: {"schema": _reference(shape)}}
        elif route.media is not None:
            reply["content"] = {route.media: {"schema": _UNSHAPED.get(route.media, {"type": "string"})}}
        made[str(status)] = reply
    return made


_UNSHAPED: dict[str, Document] = {
    JSON: {"type": "object"},
    # Each event of the stream, field by field.
    "text/event-stream": {
        "type": "object",
        "required": ["event", "id", "data"],
        "properties": {
            "event": {"const": "sign-in"},
            "id": {"type": "string", "pattern": "^[0-9]+$", "description": "The sign-in's version."},
            "data": {
                "type": "string",
                "contentMediaType": JSON,
                "contentSchema": _reference(SignInWire),
            },
        },
    },
}


def _refusals(route: Route) -> Document:
    kinds = {
        *route.errors,
        *(_WITH_BODY if route.body else ()),
        *((errors.InvalidRequest,) if route.idempotent else ()),
        *((errors.NotFound,) if "{" in route.path else ()),
        UnexpectedError,
    }
    by_status: dict[int, list[type[ServiceError]]] = defaultdict(list)
    for kind in sorted(kinds, key=lambda each: each.code):
        by_status[kind.status].append(kind)
    return {str(status): _refusal(status, by_status[status]) for status in sorted(by_status)}


def _refusal(status: int, kinds: Iterable[type[ServiceError]]) -> Document:
    listed = list(kinds)
    return {
        "description": " ".join(f"`{kind.code}`: {kind.sentence}" for kind in listed),
        "headers": {**_HEADERS, **(_RETRY if status in {429, 503} else {})},
        "content": {
            "application/problem+json": {
                "schema": {
                    "allOf": [
                        _reference(Problem),
                        {"properties": {"code": {"enum": [kind.code for kind in listed]}}},
                    ]
                }
            }
        },
    }


def _shapes(route: Route) -> Iterable[type]:
    if route.body is not None:
        yield route.body
    yield from (shape for shape in route.replies.values() if shape is not None)

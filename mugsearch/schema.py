"""What the OpenAPI schema says of refusals: once, because `mugsearch.api.answer` gives them once, whatever the view.

A view declares what it answers with when all went well, and a refusal only where it tells more than others.
"""

from typing import Any

REFUSAL = {
    "type": "object",
    "description": "Why not: `code` is for programs and stays, `detail` is a sentence for people.",
    "properties": {"code": {"type": "string"}, "detail": {"type": "string"}},
    "required": ["code", "detail"],
}
INVALID = {
    "type": "object",
    "description": "What is wrong with each field; `non_field_errors`: with several of them together.",
    "additionalProperties": {"type": ["array", "object"]},
}
_REFUSAL = {"$ref": "#/components/schemas/Refusal"}
_INVALID = {"$ref": "#/components/schemas/Invalid"}

ANY_TIME = {
    "401": "Who asks is not known.",
    "403": "Who asks may not do this.",
    "409": "Not in the state it is in now.",
    "422": "What was sent is well formed, but can't be used.",
    "429": "Too many requests in so short a time.",
    "503": "A part of the service can't answer now.",
}
NOT_THERE = {"404": "It doesn't exist, or is not for who asks to know of."}
NOT_READ = {"400": "What was sent can't be read, or has a wrong field."}
NOT_TAKEN = {"413": "What was sent is too large.", "415": "Of a type that is not read here."}


def declare_refusals(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A hook of drf-spectacular's."""
    result["components"]["schemas"] |= {"Refusal": REFUSAL, "Invalid": INVALID}
    for operations in result["paths"].values():
        for operation in operations.values():
            for status, why in _refusals_of(operation).items():
                _declare(operation["responses"], status, why)
    return result


def _refusals_of(operation: dict[str, Any]) -> dict[str, str]:
    parameters = operation.get("parameters", [])
    found = dict(ANY_TIME)
    if parameters:
        found |= NOT_THERE
    if "requestBody" in operation or any(one["in"] == "query" for one in parameters):
        found |= NOT_READ
    if "requestBody" in operation:
        found |= NOT_TAKEN
    return found


def _declare(responses: dict[str, Any], status: str, why: str) -> None:
    shapes = [_INVALID, _REFUSAL] if status == "400" else [_REFUSAL]
    if status in responses:
        told = responses[status]["content"]["application/json"]["schema"]
        shapes = [told, *shapes]
    schema = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    responses[status] = {"description": why, "content": {"application/json": {"schema": schema}}}

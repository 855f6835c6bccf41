"""What no description in OpenAPI 3.1 can say, and schemathesis has to know."""

import json

import schemathesis

NDJSON = "application/x-ndjson"


@schemathesis.serializer(NDJSON)
def to_lines(context, value):
    return "".join(json.dumps(line) + "\n" for line in value).encode()


@schemathesis.deserializer(NDJSON)
def of_lines(context, response):
    return [json.loads(line) for line in response.text.splitlines() if line]


@schemathesis.hook
def filter_case(context, case):
    """Leaves out what is not what it seems to be."""
    query = case.query or {}
    # A schema has no word for a parameter that goes with another one only.
    if "epoch" in query and "min_order" not in query or "epoch_owner" in query and "epoch" not in query:
        return False
    if case.operation.definition.raw.get("operationId") != "appendBatch":
        return True
    if case.media_type == NDJSON:
        # What is no array cannot be written as lines.
        return isinstance(case.body, list) and have_ids_of_their_own(case.body)
    # A batch has its parameters in its document, or in the query if it is lines.
    return not case.query and have_ids_of_their_own(case.body)


@schemathesis.hook
def before_add_examples(context, examples):
    examples[:] = [case for case in examples if filter_case(context, case)]


def have_ids_of_their_own(body):
    """The ids of a batch differ. A schema knows no member of elements that is unique."""
    items = body.get("messages") if isinstance(body, dict) else body
    items = items if isinstance(items, list) else []
    ids = [item["id"] for item in items if isinstance(item, dict) and isinstance(item.get("id"), str)]
    return len(ids) == len(set(ids))


@schemathesis.hook
def map_body(context, body):
    """To a schema 2.0 is an integer. A node takes whole numbers in plain digits alone."""
    if not isinstance(body, dict):
        return body
    plain = lambda value: int(value) if isinstance(value, float) and value.is_integer() else value
    return {name: value if name == "message" else plain(value) for name, value in body.items()}

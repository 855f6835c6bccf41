"""Calls nodes by the clients that openapi-python-client has made of their descriptions.

Arguments: the folder that holds the packages replog_master and replog_secondary, the URLs of both nodes, and a token or
nothing. Prints what came as one JSON document.
"""

import json
import sys

folder, master, secondary, *token = sys.argv[1:]
sys.path.insert(0, folder)

import replog_master
import replog_secondary
from replog_master import models
from replog_master.api.operations import health
from replog_master.api.reads import list_entries, list_messages
from replog_master.api.writes import append, append_batch, read_held
from replog_secondary.api.operations import health as secondary_health
from replog_secondary.api.reads import list_messages as secondary_messages


def client_of(package, url):
    if token:
        return package.AuthenticatedClient(base_url=url, token=token[0])
    return package.Client(base_url=url)


def appended(**members):
    answer = append.sync_detailed(client=client, body=models.Append(**members))
    return answer.status_code, answer.parsed


client = client_of(replog_master, master)
other = client_of(replog_secondary, secondary)
first = appended(message={"a": [1, None]}, id="one", w=2)
again = appended(message={"a": [1, None]}, id="one", w=2)
batch = append_batch.sync(client=client, body=models.Batch(messages=[models.BatchItem(message="x")], w=2))
conflict = appended(message="other", id="one")
late = appended(message="late", w=3, timeout_ms=1)
unexpected = appended(message="x", expect_order=99)

print(json.dumps({
    "first": [first[0], type(first[1]).__name__, first[1].order, first[1].nodes, first[1].epoch],
    "again": [again[0], again[1].order, again[1].duplicate],
    "batch": [type(batch).__name__, batch.count],
    "conflict": [conflict[0], type(conflict[1]).__name__, conflict[1].code, conflict[1].applied, conflict[1].order],
    "late": [late[0], type(late[1]).__name__, late[1].code, late[1].applied, late[1].retryable],
    "unexpected": [unexpected[0], type(unexpected[1]).__name__, unexpected[1].code, unexpected[1].length],
    "held": read_held.sync(order=0, w=2, client=client).nodes,
    "messages": list_messages.sync(client=client).messages,
    "ids": [entry.id for entry in list_entries.sync(client=client, limit=1).messages],
    "health": [health.sync(client=client).role, health.sync(client=client).durability],
    "secondary": [secondary_health.sync(client=other).role, secondary_messages.sync(client=other, min_order=0).messages[0]],
}))

"""Calls nodes by the clients that OpenAPI Generator has made of their descriptions.

Arguments: the folder that holds the packages replog_master and replog_secondary, the URLs of both nodes, and a token or
nothing. Prints what came as one JSON document.
"""

import json
import sys

folder, master, secondary, *token = sys.argv[1:]
sys.path.insert(0, folder)

import replog_master
import replog_secondary


def client_of(package, url):
    return package.ApiClient(package.Configuration(host=url, access_token=token[0] if token else None))


def appended(**members):
    try:
        answer = writes.append_with_http_info(replog_master.Append(**members))
        return answer.status_code, answer.data
    except replog_master.ApiException as refusal:
        return refusal.status, refusal.data


def plain(member):
    """What stands for one of several types."""
    return getattr(member, "actual_instance", member)


client = client_of(replog_master, master)
other = client_of(replog_secondary, secondary)
writes = replog_master.WritesApi(client)
reads = replog_master.ReadsApi(client)
health = replog_master.OperationsApi(client).health()
first = appended(message={"a": [1, None]}, id="one", w=2)
again = appended(message={"a": [1, None]}, id="one", w=2)
batch = writes.append_batch(replog_master.Batch(messages=[replog_master.BatchItem(message="x")], w=2))
conflict = appended(message="other", id="one")
late = appended(message="late", w=3, timeout_ms=1)
unexpected = appended(message="x", expect_order=99)

print(json.dumps({
    "first": [first[0], type(first[1]).__name__, first[1].order, first[1].nodes, first[1].epoch],
    "again": [again[0], again[1].order, again[1].duplicate],
    "batch": [type(batch).__name__, batch.count],
    "conflict": [
        conflict[0], type(conflict[1]).__name__, conflict[1].code, plain(conflict[1].applied), conflict[1].order
    ],
    "late": [late[0], type(late[1]).__name__, late[1].code, plain(late[1].applied), late[1].retryable],
    "unexpected": [unexpected[0], type(unexpected[1]).__name__, unexpected[1].code, unexpected[1].length],
    "held": writes.read_held(order=0, w=2).nodes,
    "messages": reads.list_messages().messages,
    "ids": [entry.id for entry in reads.list_entries(limit=1).messages],
    "health": [health.role, health.durability],
    "secondary": [
        replog_secondary.OperationsApi(other).health().role,
        replog_secondary.ReadsApi(other).list_messages(min_order=0).messages[0],
    ],
}))

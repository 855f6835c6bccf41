"""Follows a log by httpx-sse, a reader of server-sent events by others.

Arguments: a URL, how many events to read, and the id of the last event that was seen or nothing. Prints each event as a
line of JSON.
"""

import json
import sys

import httpx
from httpx_sse import connect_sse

url, count, *seen = sys.argv[1:]
headers = {"last-event-id": seen[0]} if seen else {}
with httpx.Client(timeout=httpx.Timeout(10, read=30), trust_env=False) as client:
    with connect_sse(client, "GET", url, headers=headers) as source:
        for _, event in zip(range(int(count)), source.iter_sse()):
            line = {"event": event.event, "id": event.id, "data": event.data, "retry": event.retry}
            print(json.dumps(line), flush=True)

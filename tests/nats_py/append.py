"""Appends over NATS by nats-py, and looks for the service, as a user of that library would.

Arguments: the server's URL, and a file of requests, one JSON text a line. Prints one line of JSON for each answer, and
at last one of what the service says of itself.
"""

import asyncio
import json
import sys

import nats
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

SUBJECT = "replog.main.append"


def told(answer):
    """An answer as HTTP would give it: what it says by headers is the status of 200 if there are none."""
    headers = answer.headers or {}
    return {
        "status": int(headers.get("Nats-Service-Error-Code", "200")),
        "error": headers.get("Nats-Service-Error"),
        "body": json.loads(answer.data),
    }


async def about(client, question, read):
    """What the service answers to a question, read by the library's own reader."""
    answer = await client.request(f"$SRV.{question}.replog-main", timeout=20)
    return read(json.loads(answer.data))


async def main():
    url, requests = sys.argv[1:]
    client = await nats.connect(url)
    with open(requests, encoding="utf-8") as lines:
        for line in lines:
            answer = await client.request(SUBJECT, line.strip().encode(), timeout=20)
            print(json.dumps(told(answer)))

    ping = await about(client, "PING", ServicePing.from_dict)
    info = await about(client, "INFO", ServiceInfo.from_dict)
    stats = await about(client, "STATS", ServiceStats.from_dict)
    print(json.dumps({
        "ids": [ping.id, info.id, stats.id],
        "version": info.version,
        "metadata": info.metadata,
        "subjects": [endpoint.subject for endpoint in info.endpoints],
        "num_requests": [endpoint.num_requests for endpoint in stats.endpoints],
        "num_errors": [endpoint.num_errors for endpoint in stats.endpoints],
        "started_in": stats.started.year,
    }))
    await client.close()


asyncio.run(main())

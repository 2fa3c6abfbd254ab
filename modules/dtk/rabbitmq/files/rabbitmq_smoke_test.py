"""Publish a message to a quorum queue on this broker, and receive it from the last of all brokers.

    rabbitmq_smoke_test.py HOST=ADDRESS…

Reads the address, the user and the password from /etc/rabbitmq/client.json.
"""

from __future__ import annotations

import json
import ssl
import sys
import uuid
from pathlib import Path

import pika

QUEUE = "dtk-smoke-test"


def channel(settings: dict[str, str], address: str) -> pika.adapters.blocking_connection.BlockingChannel:
    """Connect to the broker at an address, over verified TLS."""
    context = ssl.create_default_context(cafile="/etc/rabbitmq/tls/ca.pem")
    parameters = pika.ConnectionParameters(
        host=address,
        port=int(settings["port"]),
        credentials=pika.PlainCredentials(settings["user"], settings["password"]),
        ssl_options=pika.SSLOptions(context, settings["name"]),
        connection_attempts=10,
        retry_delay=2,
        blocked_connection_timeout=60,
    )
    return pika.BlockingConnection(parameters).channel()


def main() -> None:
    """Publish with a confirmation, receive, and compare."""
    settings = json.loads(Path("/etc/rabbitmq/client.json").read_text())
    addresses = [broker.partition("=")[2] for broker in sys.argv[1:]]
    others = [address for address in addresses if address != settings["host"]] or [settings["host"]]
    queue, text = f"{QUEUE}-{settings['host']}", uuid.uuid4().hex
    here = channel(settings, settings["host"])
    here.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    here.queue_purge(queue)
    here.confirm_delivery()
    here.basic_publish("", queue, text.encode(), mandatory=True)
    for _, _, body in channel(settings, others[-1]).consume(queue, auto_ack=True, inactivity_timeout=30):
        if body is None or body.decode() != text:
            sys.exit(f"{others[-1]} gave {body!r} instead of {text!r}")
        break
    here.queue_delete(queue)
    print(f"published on {settings['host']}, received from {others[-1]}")


if __name__ == "__main__":
    main()

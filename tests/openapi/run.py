#!/usr/bin/env python3
"""Holds the operators' interface of a running broker against the OpenAPI document that it serves.

Usage: run.py BROKER SCHEMATHESIS

Starts BROKER on free ports of loopback with an embedded store in a temporary folder, puts a tenant with some things into it,
and lets schemathesis try every operation with good and bad data. Fails on any answer that the document does not describe, on
any 5xx, and if the broker has panicked or ended meanwhile. The seed is fixed, so a failure can be seen again.
"""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SEED = "20260101"
EXAMPLES = "25"
START_SECONDS = 30
RUN_SECONDS = 600

CONFIG = """
[server]
public_url = "http://127.0.0.1:{port}"
[instance]
password = "{password}"
[[domains]]
name = "example.com"
password = "tenant"
categories = [{{ name = "Desk phones", provisioning = true }}]
[limits]
logins = 1000000
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(method: str, url: str, body: object = None, token: str = "") -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def wait_until_ready(url: str, broker: subprocess.Popen) -> None:
    for _ in range(START_SECONDS * 10):
        if broker.poll() is not None:
            sys.exit("the broker ended before it was ready")
        try:
            call("GET", url)
            return
        except OSError:
            time.sleep(0.1)
        except ValueError:
            return
    sys.exit("the broker did not become ready")


def main(binary: str, schemathesis: str) -> int:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="provbroker-openapi-"))
    port, ops = free_port(), free_port()
    password = "openapi-run-password"
    config = folder / "provbroker.toml"
    config.write_text(CONFIG.format(port=port, password=password))
    log = folder / "broker.log"
    command = [binary, "serve", "--config", str(config), "--store", f"embedded:{folder}/store.redb"]
    command += ["--listen", f"127.0.0.1:{port}", "--ops-listen", f"127.0.0.1:{ops}"]
    with log.open("wb") as out:
        broker = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder)
    try:
        wait_until_ready(f"http://127.0.0.1:{ops}/readyz", broker)
        base = f"http://127.0.0.1:{port}"
        token = call("POST", f"{base}/api/v1/token", {"password": password})["token"]
        run = [schemathesis, "run", f"{base}/api/v1/openapi.json", "--checks", "all", "--seed", SEED]
        run += ["--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing", "--workers", "2"]
        run += ["--header", f"Authorization: Bearer {token}", "--request-timeout", "10"]
        status = subprocess.run(run, timeout=RUN_SECONDS, cwd=folder, check=False).returncode
        if broker.poll() is not None:
            print("the broker has ended")
            status = status or 1
    finally:
        broker.terminate()
        broker.wait(30)
    text = log.read_text(errors="replace")
    if "panicked" in text:
        print(text[-4000:])
        status = status or 1
    return status


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))

#!/usr/bin/env python3
"""Checks the operators' interface of a running broker against the OpenAPI document that it serves.

Usage: run.py BROKER SCHEMATHESIS [OPTION…]

Starts BROKER on free ports of the loopback with an embedded store in a temporary folder, creates a tenant with devices,
codes, jobs and roll-outs, and lets schemathesis try every operation with valid and invalid data: first on existing
objects, then the operations that remove them, finally with any data. Fails on any answer that the document does not
describe, on any 5xx, if invalid data is accepted or valid data is refused, if an operation never succeeds, and if the
broker has panicked or ended. The seed is fixed, so a failure can be reproduced; further options go to schemathesis
(`--include-path …`).
"""

import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from peers import Operator, Phone, get

SEED = "20260101"
START_SECONDS = 30
PASS_SECONDS = 300
HERE = pathlib.Path(__file__).parent
PASSWORD = "openapi-run-password"

CONFIG = """
[server]
roles = ["directory", "devices"]
public_url = "http://127.0.0.1:{port}"
[instance]
password = "{password}"
[[domains]]
name = "example.com"
password = "tenant"
categories = [{{ name = "Desk phones", provisioning = true }}]
[[domains]]
name = "other.example"
password = "other tenant"
categories = [{{ name = "Desk phones", provisioning = true }}]
[limits]
logins = 1000000
"""

CONFIGURATIONS = [
    ("ntp", {"server": "ntp.example.com"}),
    ("device-name", {"name": "Phone ${hwid}"}),
    ("syslog", {"server": "192.0.2.7"}),
    ("raw", {"lines": "config change NTP0 /addr 192.0.2.9"}),
]

# Name, examples for each operation, and further options of schemathesis.
PASSES = [
    ("things that are there", "12", True, ["--exclude-method", "DELETE"]),
    ("what takes them away", "6", True, ["--include-method", "DELETE"]),
    ("whatever it thinks of", "12", False, []),
]

# A bundle is sealed, so none that is generated is valid; `tests/offline` has real ones.
SEALED = "POST /api/v1/bundles"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(port: int, broker: subprocess.Popen) -> None:
    for _ in range(START_SECONDS * 10):
        if broker.poll() is not None:
            sys.exit("the broker ended before it was ready")
        if get(port, "/readyz") == 200:
            return
        time.sleep(0.1)
    sys.exit("the broker did not become ready")


def furnish(operator: Operator, port: int, folder: pathlib.Path) -> list[Phone]:
    """Creates objects of every kind in the tenant, and records their names."""
    at = "/domains/example.com"
    desk = operator.call("GET", f"{at}/categories")["categories"][0]["id"]
    there = operator.call("GET", "/domains/other.example/categories")["categories"][0]["id"]
    phones = []
    for number in range(40):
        # Every second one is unassigned.
        code = operator.call("POST", f"{at}/codes", {"category": "Desk phones"})["code"] if number % 2 else ""
        phones.append(Phone(port, f"0090330000{number:02x}", code))
    members = [phone.hw_id for phone in phones[1::2]]
    operator.wait_for(f"{at}/devices", len(members))
    operator.wait_for("/unassigned", len(phones) - len(members))
    stay, leave, come = members[:6], members[6:12], members[12:]
    for hw_id in come:
        operator.call("POST", f"{at}/devices/{hw_id}/move", {"to": "other.example", "category": there})
        operator.call("POST", f"/domains/other.example/devices/{hw_id}/offers", {"to": "example.com"})
    codes = [operator.call("POST", f"{at}/codes", {"category": "Desk phones", "sip": f"u{n}"})["code"] for n in range(60)]
    builds = {"IP112": {"firmware": "136044", "bootcode": "136044"}, "IP411": {"firmware": "136044"}}
    operator.call("PUT", f"{at}/builds", {"baseUrl": "https://ap.example.org/fw/136044/", "products": builds})
    jobs = [operator.call("POST", f"{at}/update-jobs", {"hours": {"allow": [22, 23]}})["id"]]
    for turn in range(40):
        kind, values = CONFIGURATIONS[turn % len(CONFIGURATIONS)]
        job = {"kind": kind, "values": values, **({"category": desk} if turn % 3 else {})}
        jobs.append(operator.call("POST", f"{at}/config-jobs", job)["id"])
    users = [{"sip": f"user{n}", "name": f"User {n}"} for n in range(5)]
    rollout = {"category": "Desk phones", "users": users}
    rollouts = [operator.call("POST", f"{at}/rollouts", {"name": f"Floor {n}", **rollout})["id"] for n in range(15)]
    operator.call("PUT", f"{at}/access", {"domains": ["other.example"]})
    empty = [{"name": f"Empty {n}", "provisioning": True} for n in range(10)]
    empty = [operator.call("POST", f"{at}/categories", category)["id"] for category in empty]
    known = {
        "domains": ["example.com"],
        "domain-names": ["other.example"],
        "passwords": ["other tenant"],
        "members": stay,
        "strangers": [phone.hw_id for phone in phones[::2]],
        "leave": leave,
        "come": come[:4],
        "refused": come[4:],
        "empty-categories": empty,
        "categories": [desk],
        "categories-there": [there],
        "category-names": ["Desk phones", str(desk)],
        "codes": codes,
        "jobs": jobs,
        "rollouts": rollouts,
    }
    # Such lists are the same in JSON and TOML.
    names = "".join(f"{name} = {{ values = {json.dumps(values)} }}\n" for name, values in known.items())
    known_things = "\n[dictionaries]\n" + names + (HERE / "known.toml").read_text()
    (folder / "known.toml").write_text((HERE / "schemathesis.toml").read_text() + known_things)
    return phones


def answered(report: pathlib.Path) -> list[tuple[str, int]]:
    """Operation and status of every answer."""
    answers = []
    for line in report.read_text().splitlines():
        scenario = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for interaction in scenario.get("interactions", {}).values():
            answers.append((scenario["label"], (interaction.get("response") or {}).get("status_code", 0)))
    return answers


def main(binary: str, schemathesis: str, *options: str) -> int:
    # Both are started in another folder.
    binary, schemathesis = (str(pathlib.Path(path).absolute()) for path in (binary, schemathesis))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="provbroker-openapi-"))
    port, ops = free_port(), free_port()
    config, log = folder / "provbroker.toml", folder / "broker.log"
    config.write_text(CONFIG.format(port=port, password=PASSWORD))
    shutil.copy(HERE / "schemathesis.toml", folder / "any.toml")
    command = [binary, "serve", "--config", str(config), "--store", f"embedded:{folder}/store.redb"]
    command += ["--listen", f"127.0.0.1:{port}", "--ops-listen", f"127.0.0.1:{ops}"]
    failed, answers = [], []
    with log.open("wb") as out:
        broker = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder)
    try:
        wait_until_ready(ops, broker)
        phones = furnish(Operator(port, PASSWORD), port, folder)
        for name, examples, known, more in PASSES:
            print(f"\n=== {name}", flush=True)
            # A token is valid for 15 minutes, so each pass gets its own.
            token = Operator(port, PASSWORD).token
            run = [schemathesis, "--config-file", str(folder / ("known.toml" if known else "any.toml"))]
            run += ["run", f"http://127.0.0.1:{port}/api/v1/openapi.json", "--checks", "all", "--seed", SEED]
            run += ["--max-examples", examples, "--phases", "examples,coverage,fuzzing", "--workers", "1"]
            run += ["--header", f"Authorization: Bearer {token}", "--request-timeout", "10", *more, *options]
            report = folder / f"{name}.ndjson"
            run += ["--report", "ndjson", "--report-ndjson-path", str(report)]
            if subprocess.run(run, timeout=PASS_SECONDS, cwd=folder, check=False).returncode:
                failed.append(name)
            answers += answered(report)
        if broker.poll() is not None:
            failed.append("the broker has ended")
        seen = {label for label, status in answers if 200 <= status < 300}
        if vain := {label for label, _ in answers} - seen - {SEALED}:
            failed.append(f"no success has been seen of {', '.join(sorted(vain))}")
        for phone in phones:
            phone.stop()
    finally:
        broker.terminate()
        broker.wait(30)
    text = log.read_text(errors="replace")
    if "panicked" in text:
        print(text[-4000:])
        failed.append("the broker has panicked")
    if failed:
        print(f"failed: {', '.join(failed)}; everything is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))

#!/usr/bin/env python3
"""Gets a provisioning code from Devices and waits until a device has entered with it.

It is written against the vendor's documents, with the standard library only: log-in of
docs/protocol/appwebsocket.md section 3, messages of docs/protocol/devices-api.md 2.3 and 2.5.
examples/devices-service/main.rs does the same in Rust.

    DEVICES_PASSWORD=… python3 devices_service.py --domain example.com --category "Desk phones" URL

A certificate of an authority of your own: SSL_CERT_FILE=FILE. Whoever asks for codes gets the notices that nobody has
taken yet, too. So do not run it in a domain whose Users service is away: it would take the notices of that service.
"""

import argparse
import base64
import hashlib
import json
import os
import socket
import ssl
import sys
import time
from urllib.parse import urlsplit

APP = "innovaphone-devices-api"  # Name under which the service logs in.
SRC = "code"  # Mark of the request for the code, which its notice has as well.
ANSWER = 40  # Longest time for an answer; a log-in after failed ones may wait for 30 s.
SILENCE = 60  # A message is sent after this time without one: routers forget connections that are silent.
STAY = 6  # The server counts a notice as delivered if the connection stays open for 5 s after the pong.
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Failed(Exception):
    """What is said in one line."""


class Devices:
    """A connection to Devices: a WebSocket client for text messages, and the requests on it."""

    def __init__(self, url):
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise Failed("cannot connect: the address does not begin with ws:// or wss:// and a host")
        self.buffer, self.fragments = b"", b""
        self.socket = socket.create_connection((parts.hostname, parts.port or {"ws": 80, "wss": 443}[parts.scheme]), ANSWER)
        if parts.scheme == "wss":
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=parts.hostname)
        key = base64.b64encode(os.urandom(16))
        self.socket.sendall(
            f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.buffer:
            self.read(time.monotonic() + ANSWER)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        status, *fields = head.decode("latin-1").split("\r\n")
        if status.split(" ")[1:2] != ["101"]:
            raise Failed(f"cannot connect: {status}")
        fields = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        if fields.get("sec-websocket-accept") != base64.b64encode(hashlib.sha1(key + ACCEPT).digest()).decode():
            raise Failed("cannot connect: the server is no WebSocket server")

    def read(self, end):
        self.socket.settimeout(max(end - time.monotonic(), 0.001))
        more = self.socket.recv(65536)
        if not more:
            raise Failed("the connection has ended")
        self.buffer += more

    def write(self, opcode, payload):
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else (
            b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big"))
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.socket.settimeout(ANSWER)
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def frame(self, end):
        """First byte and payload of the next frame. What has come stays in the buffer if the time is over before."""
        while True:
            if len(self.buffer) >= 2:
                wide = {126: 2, 127: 8}.get(self.buffer[1], 0)
                start = 2 + wide
                size = int.from_bytes(self.buffer[2:start], "big") if wide else self.buffer[1]
                if len(self.buffer) >= start and len(self.buffer) >= start + size:
                    first, payload = self.buffer[0], self.buffer[start:start + size]
                    self.buffer = self.buffer[start + size:]
                    return first, payload
            self.read(end)

    def send(self, message):
        self.write(TEXT, json.dumps(message).encode())

    def receive(self, within):
        """The next message; None if there is none within this time."""
        end = time.monotonic() + within
        while True:
            try:
                first, payload = self.frame(end)
            except TimeoutError:
                return None
            if first & 15 == PING:
                self.write(PONG, payload)
            elif first & 15 == CLOSE:
                raise Failed(f"the server closes: {int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}")
            elif first & 15 < 2:
                self.fragments += payload
                if first & 0x80:
                    text, self.fragments = self.fragments, b""
                    return json.loads(text)

    def request(self, request):
        self.send(request)
        end = time.monotonic() + ANSWER
        while (answer := self.receive(end - time.monotonic())) is not None:
            if answer.get("mt") == request["mt"] + "Result" and answer.get("src") == request.get("src"):
                if "error" in answer:
                    raise Failed(f"{request['mt']}: {answer['error']}")
                return answer
        raise Failed(f"{request['mt']}: no answer")

    def login(self, domain, password):
        """docs/protocol/appwebsocket.md 3.3, without info; guid and dn are empty."""
        challenge = self.request({"mt": "AppChallenge"})["challenge"]
        digest = hashlib.sha256(f"{APP}:{domain}::::{challenge}:{password}".encode()).hexdigest()
        login = {"mt": "AppLogin", "app": APP, "domain": domain, "sip": "", "guid": "", "dn": "", "digest": digest}
        try:
            ok = self.request(login).get("ok") is True
        except Failed as error:
            raise Failed(f"the log-in fails: wrong domain or password: {error}") from None
        if not ok:
            raise Failed("the log-in fails: wrong domain or password")

    def device(self, code, wait):
        """Waits until a device has entered with the code."""
        end = time.monotonic() + wait
        while (left := end - time.monotonic()) > 0:
            notice = self.receive(min(SILENCE, left))
            if notice is None:
                self.send({"mt": "KeepAlive"})
            elif notice.get("mt") == "DeviceProvisioned" and notice["code"] == code:
                return notice["device"]
            elif notice.get("mt") == "DeviceProvisioned":
                print("notice of another code: device", notice["device"]["hwId"], flush=True)
        raise Failed(f"no device has entered within {wait} s")


def run():
    parser = argparse.ArgumentParser(
        description="Gets a provisioning code from Devices and waits for the device. The password of the domain is taken "
        "from the environment variable DEVICES_PASSWORD.")
    parser.add_argument("url", help="address of the Devices service: wss://HOST/DOMAIN/INSTANCE")
    parser.add_argument("--domain", required=True, help="domain that the device enters")
    parser.add_argument("--category", required=True, help="name of the category that the device gets")
    parser.add_argument("--sip", help="SIP name of the user who gets the device")
    parser.add_argument("--wait", type=int, default=600, help="longest time to wait for the device, in seconds (600)")
    arguments = parser.parse_args()
    password = os.environ.get("DEVICES_PASSWORD")
    if password is None:
        raise Failed("DEVICES_PASSWORD is not set")
    try:
        devices = Devices(arguments.url)
    except OSError as error:
        raise Failed(f"cannot connect: {error}") from None
    print("connected to", arguments.url, flush=True)

    devices.login(arguments.domain, password)
    print("logged in to", arguments.domain, "as", APP, flush=True)

    request = {"mt": "GetProvisioningCode", "category": arguments.category, "src": SRC}
    if arguments.sip is not None:
        request["sip"] = arguments.sip
    answer = devices.request(request)
    code = answer["code"]
    print(f"code {code}, valid for {max(answer['validUntil'] - int(time.time()), 0)} s", flush=True)

    print("waiting for a device", flush=True)
    device = devices.device(code, arguments.wait)
    print(f"device {device['hwId']} has entered: {device['product']} {device['version']}", flush=True)

    end = time.monotonic() + STAY  # Reads on, so that pings are answered.
    while devices.receive(max(end - time.monotonic(), 0)) is not None:
        pass
    devices.write(CLOSE, (1000).to_bytes(2, "big"))
    print("done", flush=True)


try:
    run()
except (Failed, OSError) as error:
    sys.exit(f"devices_service.py: {error}")
except (ValueError, KeyError) as error:
    sys.exit(f"devices_service.py: the server sends what is not documented: {error!r}")

"""An operator and simulated devices, as needed to create test data in a broker."""

import base64
import json
import os
import socket
import struct
import threading
import time
import urllib.error
import urllib.request

GUARD_SECONDS = 30


def get(port: int, path: str) -> int:
    """Status of the answer; 0 without an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class Operator:
    """A caller with a token of the instance."""

    def __init__(self, port: int, password: str) -> None:
        self.base, self.token = f"http://127.0.0.1:{port}/api/v1", ""
        self.token = self.call("POST", "/token", {"password": password})["token"]

    def call(self, method: str, path: str, body: object = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def wait_for(self, path: str, devices: int) -> None:
        """Waits until this many devices are listed and online."""
        end = time.monotonic() + GUARD_SECONDS
        while sum(device["online"] for device in self.call("GET", path)["devices"]) < devices:
            if time.monotonic() > end:
                raise SystemExit(f"{path} did not get {devices} devices")
            time.sleep(0.05)


class Phone:
    """A phone on its WebSocket that identifies and answers pings, but no command of the broker. When its connection is
    closed, it reconnects without its password."""

    def __init__(self, port: int, hw_id: str, code: str) -> None:
        self.port, self.hw_id, self.code = port, hw_id, code
        self.stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()

    def _run(self) -> None:
        while not self.stopped.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as stream:
                    self._connected(stream)
            except OSError:
                pass
            self.stopped.wait(1)

    def _connected(self, stream: socket.socket) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET /example.com/devices/sysclients HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\n"
        head += f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        stream.sendall(head.encode())
        reader = stream.makefile("rb")
        while reader.readline().strip():
            pass
        identify = {"id": self.hw_id, "product": "IP112", "version": "13r3 sr9 [13.6012/136012/300]", "fwBuild": "136012"}
        identify |= {"platform": {"type": "PHONE", "fxs": False}, "ethIfs": [{"if": "ETH0", "ipv4": "192.0.2.17"}]}
        if self.code:
            identify["provisioningCode"], self.code = self.code, ""
        self._send(stream, 2, b"\x01\x00\x00" + json.dumps(identify).encode())
        while frame := reader.read(2):
            length = frame[1] & 0x7F
            if length >= 126:
                length = int.from_bytes(reader.read(2 if length == 126 else 8), "big")
            data = reader.read(length)
            if frame[0] & 0x0F == 9:
                self._send(stream, 10, data)

    @staticmethod
    def _send(stream: socket.socket, opcode: int, data: bytes) -> None:
        # A mask of zeros leaves the bytes as they are.
        stream.sendall(struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(data)) + bytes(4) + data)

#!/usr/bin/env python3
"""Attacks a broker as a hostile stranger would, and prints what the attack has reached.

Usage: stranger.py BROKER [SCENARIO…]

Starts BROKER (the program) on free ports of the loopback with an embedded store in a temporary folder, once for each
scenario. Shares no code with the broker: it has its own WebSocket client and knows the protocols from their texts only.
All loops are bounded in number and time. Prints one line for each figure; it judges nothing, because the figures depend
on the machine. What has to hold is tested in tests/end_to_end and its neighbours.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

CONFIG = """
[server]
listen = "127.0.0.1:{port}"
ops_listen = "127.0.0.1:{ops}"
public_url = "http://127.0.0.1:{port}"
max_connections = {places}
[store]
url = "{store}"
[instance]
password = "a-long-instance-password"
[users.file]
users = "{folder}/users.csv"
phones = "{folder}/phones.csv"
[[accounts]]
name = "olga"
password = "a-long-page-password"
role = "operator"
sip = ""
shown = "Olga"
[[domains]]
name = "example.com"
password = "a-long-domain-password"
auto_token = "a-long-token"
[[domains.categories]]
name = "Desk phones"
provisioning = true
"""

DOMAIN_PASSWORD = "a-long-domain-password"
SYSCLIENTS = "/example.com/devices/sysclients"
APPS = "/example.com/devices/innovaphone-users"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def say(scenario, what, value):
    print(f"{scenario:14} {what:70} {value}", flush=True)


class Broker:
    """A broker in a process of its own."""

    def __init__(self, program, places=100000, store=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hostile-"))
        self.port, self.ops = free_port(), free_port()
        (self.folder / "users.csv").write_text("sip,name,domain\nanna,Anna Berg,example.com\n")
        config = self.folder / "config.toml"
        store = store or f"embedded:{self.folder}/store.redb"
        config.write_text(
            CONFIG.format(port=self.port, ops=self.ops, folder=self.folder, places=places, store=store))
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen([program, "serve", "--config", config], stdout=self.log, stderr=self.log)

    async def __aenter__(self):
        for _ in range(300):
            with contextlib.suppress(OSError):
                if self.http("/readyz", port=self.ops)[0] == 200:
                    return self
            if self.process.poll() is not None:
                sys.exit("the broker ended: " + (self.folder / "log").read_text())
            await asyncio.sleep(0.1)
        sys.exit("the broker did not become ready")

    async def __aexit__(self, *_):
        if self.process.poll() is not None:
            say("broker", "ended by itself, with status", self.process.returncode)
        if panics := (self.folder / "log").read_bytes().count(b"panicked at"):
            say("broker", "panics", panics)
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder)

    def http(self, path, body=None, token=None, port=None, kind="application/json"):
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.port}{path}", data=body)
        request.add_header("Content-Type", kind)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def resident(self):
        """Resident memory in MB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def stored(self):
        """Size of the store's file in MB."""
        return (self.folder / "store.redb").stat().st_blocks * 512 / 1e6

    def lines(self):
        self.log.flush()
        return (self.folder / "log").read_bytes().count(b"\n")

    def code(self):
        token = json.loads(self.http("/api/v1/token", b'{"password":"a-long-instance-password"}')[1])["token"]
        made = self.http("/api/v1/domains/example.com/codes", b'{"category":"Desk phones"}', token)
        return json.loads(made[1])["code"]


@contextlib.asynccontextmanager
async def redis_server():
    """A redis-server of its own; gives its address."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        port = free_port()
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder,
                                   "--save", ""], stdout=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                await asyncio.sleep(0.1)
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


class Socket:
    """A WebSocket client."""

    @classmethod
    async def open(cls, broker, path, source="127.0.0.1"):
        self = cls()
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", broker.port, local_addr=(source, 0), limit=1 << 20
        )
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{broker.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
        self.status = int(head.split()[1])
        return self

    def send(self, data, opcode):
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        length = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack(">BH", 0xFE, len(data))
        self.writer.write(bytes([0x80 | opcode]) + length + mask + masked)

    def message(self, value):
        self.send(json.dumps(value).encode(), 1)

    def admin(self, kind, value):
        self.send(struct.pack(">BH", 1, kind) + json.dumps(value).encode(), 2)

    async def receive(self):
        """The next message: (opcode, data)."""
        while True:
            first, length = await self.reader.readexactly(2)
            length &= 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
            data = await self.reader.readexactly(length)
            if first & 0x0F != 9:
                return first & 0x0F, data

    async def admin_of(self, kind):
        while True:
            opcode, data = await self.receive()
            if opcode == 8:
                raise ConnectionError(f"closed with {struct.unpack('>H', data[:2])[0] if data else 1005}")
            if data[:1] == b"\x01" and struct.unpack(">H", data[1:3])[0] == kind:
                return json.loads(data[3:])

    def close(self):
        self.writer.close()


def identify(hw_id, **more):
    facts = {"id": hw_id, "product": "IP112", "version": "13r3 [13.6012/136012/300]", "platform": {"type": "PHONE"}}
    return {**facts, **more}


def digest(hw_id, challenge, password):
    return hashlib.sha256(f"{hw_id}:IP112:13r3 [13.6012/136012/300]:{challenge}:{password}".encode()).hexdigest()


async def enter(broker, hw_id, source="127.0.0.1", **more):
    """A phone that enters by a code; returns its connection and password."""
    phone = await Socket.open(broker, SYSCLIENTS, source)
    phone.admin(0, identify(hw_id, provisioningCode=broker.code(), **more))
    return phone, (await asyncio.wait_for(phone.admin_of(1), 30))["password"]


async def log_in(broker, hw_id, password, source="127.0.0.1"):
    """Seconds from the start of the connection to the proof that the phone is a member: the answer to a port claim."""
    begun = time.monotonic()
    phone = await Socket.open(broker, SYSCLIENTS, source)
    if phone.status != 101:
        raise ConnectionError(f"HTTP {phone.status}")
    phone.admin(0, identify(hw_id))
    challenge = (await phone.admin_of(2))["challenge"]
    phone.admin(0, identify(hw_id, digest=digest(hw_id, challenge, password)))
    phone.admin(4, {"id": "TEL1", "code": "x"})
    await phone.admin_of(5)
    phone.close()
    return time.monotonic() - begun


def app_login(challenge, password, domain="example.com"):
    proof = hashlib.sha256(f"innovaphone-users:{domain}::::{challenge}:{password}".encode()).hexdigest()
    return {"mt": "AppLogin", "app": "innovaphone-users", "domain": domain, "sip": "", "guid": "", "dn": "",
            "digest": proof}


async def try_app(app, password):
    """Whether a log-in succeeds; None if the connection was closed."""
    try:
        app.message({"mt": "AppChallenge"})
        challenge = json.loads((await app.receive())[1])["challenge"]
        app.message(app_login(challenge, password))
        return json.loads((await app.receive())[1])["ok"]
    except (OSError, asyncio.IncompleteReadError, json.JSONDecodeError, KeyError):
        return None


def wrong_attempts(broker, kind, what="wrong_attempts"):
    text = broker.http("/metrics", port=broker.ops)[1]
    found = re.search(r'provbroker_%s_total\{kind="%s"\} (\d+)' % (what, kind), text)
    return int(found[1]) if found else 0


async def bounded(tasks, seconds):
    """Runs tasks for at most so long; returns the results of those that have ended."""
    tasks = [asyncio.ensure_future(task) for task in tasks]
    done, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return [task.result() for task in done if not task.exception()]


async def apps(program):
    """Wrong domain passwords over 1000 connections that were open before, three on each."""
    async with Broker(program) as broker:
        opened = [await Socket.open(broker, APPS) for _ in range(1000)]
        opened = [app for app in opened if app.status == 101]

        async def guess(app):
            return [await try_app(app, f"guess {n}") for n in range(3)]

        begun = time.monotonic()
        results = await bounded([guess(app) for app in opened], 15)
        spent = time.monotonic() - begun
        say("apps", "wrong domain passwords compared, one address, 1000 old connections",
            f"{wrong_attempts(broker, 'login')} in {spent:.1f} s ({len(results)} connections ended)")
        begun = time.monotonic()
        right = None
        for _ in range(8):
            app = await Socket.open(broker, APPS)
            right = app.status if app.status != 101 else await try_app(app, DOMAIN_PASSWORD)
            if right is True:
                break
            await asyncio.sleep(5)
        say("apps", "the right password from the same address then", f"{right} after {time.monotonic() - begun:.1f} s")
        app = await Socket.open(broker, APPS, "127.0.0.2")
        begun = time.monotonic()
        say("apps", "the right password from another address",
            f"{await try_app(app, DOMAIN_PASSWORD)} after {time.monotonic() - begun:.2f} s")


async def ports(program):
    """A member that guesses codes on its connection."""
    async with Broker(program) as broker:
        phone, _ = await enter(broker, "009033000001", platform={"type": "GW", "fxs": True})
        begun, asked = time.monotonic(), 0
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            while time.monotonic() - begun < 5:
                for _ in range(8):
                    phone.admin(4, {"id": "TEL1", "code": f"{random.randrange(10**12):012}"})
                for _ in range(8):
                    answer = await asyncio.wait_for(phone.admin_of(5), 5)
                    asked += answer.get("error") == "unknown code"
        say("ports", "codes that a member has had compared by port claims in 5 s", asked)


async def members(program):
    """A member that offers codes in further identifies, and as many connections with new keys."""
    async with Broker(program) as broker:
        phone, _ = await enter(broker, "009033000001")
        before = wrong_attempts(broker, "device_code")
        with contextlib.suppress(OSError):
            for n in range(20000):
                phone.admin(0, identify("009033000001", provisioningCode=f"{random.randrange(10**12):012}"))
                if n % 100 == 0:
                    await phone.writer.drain()
                    await asyncio.sleep(0)
        await asyncio.sleep(3)
        say("members", "identifies with codes sent by a member; compared; replaced while they waited",
            f"20000; {wrong_attempts(broker, 'device_code') - before}; {wrong_attempts(broker, 'device_code', 'attempts_replaced')}")
        began = time.monotonic()
        other = await Socket.open(broker, SYSCLIENTS, "127.0.9.9")
        other.admin(0, identify("009033000002", provisioningCode="000000000001"))
        with contextlib.suppress(ConnectionError):  # it is closed when the code has been decided
            await other.admin_of(2)
        say("members", "the code of a phone elsewhere is decided then", f"after {(time.monotonic() - began) * 1000:.0f} ms")
        other.close()

    async with Broker(program) as broker:
        async def one(n):
            phone = await Socket.open(broker, SYSCLIENTS, f"127.0.{n % 200}.9")
            if phone.status == 101:
                for _ in range(3):
                    phone.admin(0, identify(f"0090331{n:05x}", provisioningCode=f"{random.randrange(10**12):012}"))
            await asyncio.sleep(8)
            phone.close()

        await bounded([one(n) for n in range(4000)], 20)
        say("members", "4000 new devices at 200 addresses, 12000 offers, 8 s: compared; replaced while they waited",
            f"{wrong_attempts(broker, 'device_code')}; {wrong_attempts(broker, 'device_code', 'attempts_replaced')}")


async def nodes(program):
    """Wrong codes of new devices at two hundred addresses and two nodes on one Redis; one node starts anew meanwhile."""
    addresses, begun, decided = 200, time.monotonic(), {}

    async def guess(broker, n):
        """Guesses from one address, each time as another device."""
        for turn in range(100000):
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                phone = await Socket.open(broker, SYSCLIENTS, f"127.0.{n}.9")
                if phone.status == 101:
                    code = f"{random.randrange(10**12):012}"
                    phone.admin(0, identify(f"00{n:02x}{turn % 2**32:08x}", provisioningCode=code))
                    await asyncio.wait_for(phone.admin_of(2), 2)
                phone.close()
            await asyncio.sleep(0.05)

    async def until(second):
        """How many codes the nodes have compared until this second."""
        await asyncio.sleep(max(0, begun + second - time.monotonic()))
        for broker in brokers:
            decided[broker] = wrong_attempts(broker, "device_code")
        return sum(decided.values())

    async with redis_server() as store, Broker(program, store=store) as one, Broker(program, store=store) as two:
        brokers, begun = [one, two], time.monotonic()
        attack = [asyncio.ensure_future(guess(broker, n)) for broker in brokers for n in range(addresses)]
        first, minute = await until(10), await until(60)
        say("nodes", "codes compared by two nodes, 200 addresses: first 10 s; next 50 s", f"{first}; {minute - first}")
        for task in attack[addresses:]:
            task.cancel()
        async with Broker(program, store=store) as three:
            brokers.append(three)
            attack += [asyncio.ensure_future(guess(three, n)) for n in range(addresses)]
            early, late = await until(70), await until(90)
            say("nodes", "a new node instead of the second: until second 70; next 20 s",
                f"{early - minute}; {late - early}")
        for task in attack:
            task.cancel()
        await asyncio.gather(*attack, return_exceptions=True)


async def burst(broker, count, request, seconds=20):
    """Sends the same number of requests at once; returns statuses of the answers that came in time."""
    async def one(n):
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port, local_addr=(request(n)[0], 0))
        writer.write(request(n)[1])
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1])

    results = await bounded([one(n) for n in range(count)], seconds)
    return {status: results.count(status) for status in sorted(set(results))}


def post(broker, path, body, kind="application/json", cookie=""):
    cookie = f"Cookie: {cookie}\r\n" if cookie else ""
    return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{broker.port}\r\nOrigin: http://127.0.0.1:{broker.port}\r\n"
            f"{cookie}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}").encode()


async def tokens(program):
    """Wrong passwords for a token of the REST interface."""
    async with Broker(program) as broker:
        wrong = lambda n: ("127.0.0.1", post(broker, "/api/v1/token", json.dumps({"password": f"guess {n}"})))
        answers = await burst(broker, 500, wrong, 10)
        say("tokens", "500 wrong instance passwords at once: answers after 10 s", answers)
        begun, right = time.monotonic(), 0
        while right != 200 and time.monotonic() - begun < 90:
            right = broker.http("/api/v1/token", b'{"password":"a-long-instance-password"}')[0]
            if right != 200:
                await asyncio.sleep(1)
        say("tokens", "the right one from the same address then", f"{right} after {time.monotonic() - begun:.1f} s")


async def pages(program):
    """Wrong passwords of a page account."""
    async with Broker(program) as broker:
        with urllib.request.urlopen(f"http://127.0.0.1:{broker.port}/ui/sign-in") as answer:
            cookie = answer.headers["Set-Cookie"].split(";")[0]
            fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', answer.read().decode()))

        def sign_in(n, password, source):
            form = urllib.parse.urlencode({**fields, "name": "olga", "password": password})
            return source, post(broker, "/ui/sign-in", form, "application/x-www-form-urlencoded", cookie)

        answers = await burst(broker, 300, lambda n: sign_in(n, f"guess number {n}", "127.0.0.1"), 20)
        say("pages", "300 wrong passwords of an account at once: answers after 20 s", answers)
        begun = time.monotonic()
        answers = await burst(broker, 1, lambda n: sign_in(n, "a-long-page-password", "127.0.0.2"), 60)
        say("pages", "the owner from another address then", f"{answers} after {time.monotonic() - begun:.1f} s")


async def init(program):
    """Codes at /init from 200 addresses."""
    async with Broker(program) as broker:
        get = lambda n: (f"127.0.{n % 200}.7", (
            f"GET /init?mac=009033{n % 2000:06x}&PROVISIONING-CODE={random.randrange(10**12):012} HTTP/1.1\r\n"
            "Host: x\r\nConnection: close\r\n\r\n").encode())
        begun, answers = time.monotonic(), {}
        while time.monotonic() - begun < 10:
            for status, count in (await burst(broker, 1000, get, 5)).items():
                answers[status] = answers.get(status, 0) + count
        say("init", "codes at /init from 200 addresses: answers in 10 s", answers)
        say("init", "of these looked up", wrong_attempts(broker, "init_code"))


async def stale(program):
    """Phones with a stale password beside healthy ones at the same address."""
    for count in (12, 300):
        async with Broker(program) as broker:
            phone, password = await enter(broker, "009033000001")
            phone.close()

            async def bad(n, stop):
                hw_id = f"0090330001{n % 256:02x}" if n else "009033000001"
                while time.monotonic() < stop:
                    with contextlib.suppress(OSError, ConnectionError, asyncio.IncompleteReadError):
                        phone = await Socket.open(broker, SYSCLIENTS)
                        if phone.status != 101:
                            await asyncio.sleep(1)
                            continue
                        phone.admin(0, identify(hw_id))
                        challenge = (await asyncio.wait_for(phone.admin_of(2), 5))["challenge"]
                        phone.admin(0, identify(hw_id, digest=digest(hw_id, challenge, "stale")))
                        await asyncio.wait_for(phone.admin_of(1), 5)
                    await asyncio.sleep(0.2)

            passwords = {}
            for n in range(1, 13):
                stranger, _ = await enter(broker, f"0090330001{n:02x}")
                stranger.close()
            stop = time.monotonic() + 15
            noise = [asyncio.ensure_future(bad(1 + n % 12, stop)) for n in range(count)]
            times, refused = [], 0
            while time.monotonic() < stop:
                try:
                    times.append(await asyncio.wait_for(log_in(broker, "009033000001", password), 10))
                except (OSError, ConnectionError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                    refused += 1
                await asyncio.sleep(0.1)
            for task in noise:
                task.cancel()
            await asyncio.gather(*noise, return_exceptions=True)
            times.sort()
            p99 = f"p99 {times[int(len(times) * 0.99)] * 1000:.0f} ms" if times else "none in time"
            say("stale", f"a healthy phone beside {count} stale ones", f"{len(times)} log-ins, {p99}; refused {refused}")


async def places(program):
    """One address takes all places without logging in."""
    async with Broker(program, places=400) as broker:
        phone, password = await enter(broker, "009033000001", "127.0.0.2")
        phone.close()
        held = []
        for path in (SYSCLIENTS, APPS):
            for _ in range(400):
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                    one = await asyncio.wait_for(Socket.open(broker, path), 2)
                    if one.status == 101:
                        held.append(one)
        say("places", "connections that one address has opened without a log-in, of 400 places", len(held))
        for source in ("127.0.0.2", "127.0.0.1"):
            try:
                spent = await asyncio.wait_for(log_in(broker, "009033000001", password, source), 10)
                result = f"in after {spent * 1000:.0f} ms"
            except (OSError, ConnectionError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
                result = f"refused ({error or type(error).__name__})"
            where = "another" if source == "127.0.0.2" else "the same"
            say("places", f"a known phone at {where} address then", result)


async def bodies(program):
    """Requests whose body never comes to its end."""
    for path in ("/api/v1/token", "/ui/sign-in", "/api/v1/codes", "/api/v1/domains"):
        async with Broker(program) as broker:
            before, held = broker.resident(), []
            for n in range(300):
                reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
                kind = "application/x-www-form-urlencoded" if "ui" in path else "application/json"
                writer.write(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{broker.port}\r\nContent-Type: {kind}\r\n"
                             "Content-Length: 1000000\r\n\r\n".encode() + b"x" * 990_000)
                held.append((reader, writer))
            await asyncio.sleep(3)
            peak = broker.resident() - before
            begun = time.monotonic()

            async def ends(reader, writer):
                with contextlib.suppress(OSError):
                    while await reader.read(65536):
                        pass

            ended = len(await bounded([ends(*one) for one in held], 40))
            say("bodies", f"300 unfinished bodies at {path}",
                f"{peak:.0f} MB; {ended} ended within {time.monotonic() - begun:.0f} s")
            for _, writer in held:
                writer.transport.abort()


async def unfinished(program):
    """Messages that never come to their end."""
    for name, path, size in (("apps", APPS, 131000), ("devices", SYSCLIENTS, 65000)):
        async with Broker(program) as broker:
            before, held = broker.resident(), []
            for _ in range(500):
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    one = await Socket.open(broker, path)
                    opcode = 1 if path == APPS else 2
                    one.writer.write(struct.pack(">BBQ", 0x80 | opcode, 0xFF, size) + b"\0\0\0\0")
                    one.writer.write(b"\x01\x00\x00" + b"x" * (size - 1000))
                    held.append(one)
            await asyncio.sleep(3)
            grown = broker.resident() - before
            say("unfinished", f"memory for 500 unfinished messages of {name}", f"{grown:.0f} MB")
            for one in held:
                one.writer.transport.abort()


async def growth(program):
    """Made-up phones at /init and at /sysclients."""
    async with Broker(program) as broker:
        before, sent, begun = broker.stored(), 0, time.monotonic()

        async def many(source):
            nonlocal sent
            reader, writer = await asyncio.open_connection("127.0.0.1", broker.port, local_addr=(source, 0))
            while time.monotonic() - begun < 15:
                for _ in range(50):
                    mac = f"{random.getrandbits(48):012x}"
                    writer.write(f"GET /init?mac={mac}&type={'T' * 120}&ver={'V' * 250} HTTP/1.1\r\nHost: x\r\n\r\n"
                                 .encode())
                for _ in range(50):
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = re.search(rb"(?i)content-length: (\d+)", head)
                    await reader.readexactly(int(length[1]) if length else 0)
                    sent += 1

        await bounded([many("127.0.0.1") for _ in range(8)], 17)
        say("growth", "made-up phones at /init from one address in 15 s; store grew by",
            f"{sent}; {broker.stored() - before:.1f} MB")
    async with Broker(program) as broker:
        before, count, begun = broker.stored(), 0, time.monotonic()

        async def connect(n):
            nonlocal count
            while time.monotonic() - begun < 15:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    phone = await Socket.open(broker, SYSCLIENTS)
                    texts = dict(name="n" * 120, fwBuild="1" * 30, bcBuild="2" * 30, major="m" * 30, fw="f" * 60, bc="b" * 60)
                    phone.admin(0, identify(f"{random.getrandbits(48):012x}", **texts))
                    await phone.writer.drain()
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(phone.receive(), 0.05)
                    phone.close()
                    count += 1

        await bounded([connect(n) for n in range(32)], 17)
        say("growth", "identifies of made-up devices from one address in 15 s; store grew by",
            f"{count}; {broker.stored() - before:.1f} MB")


async def log(program):
    """Malformed requests."""
    async with Broker(program) as broker:
        before = broker.lines()
        for n in range(2000):
            reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
            writer.write(random.choice([b"GE\x00T / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n",
                                        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]))
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(reader.read(100), 1)
            writer.close()
        say("log", "lines for 2000 malformed requests", broker.lines() - before)


SCENARIOS = [apps, ports, members, nodes, tokens, pages, init, stale, places, bodies, unfinished, growth, log]


def main():
    program, *wanted = sys.argv[1:]
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    for scenario in SCENARIOS:
        if not wanted or scenario.__name__ in wanted:
            asyncio.run(scenario(str(pathlib.Path(program).resolve())))


main()

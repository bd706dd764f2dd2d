// Shared by the browser tests: starting and stopping programs, an observed browser, and checks of pages.
//
// A test is run as `node TEST.mjs PROVBROKER LOADTEST FOLDER-FOR-SCREENSHOTS`. Every text of a device, a person or an operator
// contains a script that must not run anywhere. Exit code 0 only if every step was observed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import AxeBuilder from "@axe-core/playwright";

export const [provbroker, loadtest, shots] = process.argv.slice(2);
export const DOMAIN = "example.com";
export const PASSWORD = "a password for this test";
const INSTANCE = "instance password of this test";
// In an element, in an attribute, and without any quotes.
export const PAYLOAD = `"'><img src=x onerror=window.pwned=1><script>window.pwned=1</script>`;
export const SIZES = { wide: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

const started = [];
export const folder = mkdtempSync(join(tmpdir(), "provbroker-browser-"));
mkdirSync(shots, { recursive: true });

export function start(name, program, args, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  child.said = () => said;
  child.ended = new Promise((resolve) => child.on("exit", resolve));
  child.label = name;
  started.push(child);
  return child;
}

export async function until(what, look, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not seen within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export const text = (value) => JSON.stringify(value);

// A broker on the embedded store; `more` is further configuration, and each account a line [name, role, with a domain].
export async function broker(more, accounts, server = "") {
  const [port, ops] = [await freePort(), await freePort()];
  const account = ([name, role, domain]) =>
    `[[accounts]]\nname = ${text(name)}\npassword = ${text(PASSWORD)}\nrole = "${role}"\n` +
    `${domain ? `domain = "${DOMAIN}"\nsip = ${text(name)}\n` : ""}shown = ${text(`${name} ${PAYLOAD}`)}\n`;
  const config = join(folder, "provbroker.toml");
  writeFileSync(
    config,
    `[server]\nlisten = "127.0.0.1:${port}"\nops_listen = "127.0.0.1:${ops}"\npublic_url = "http://127.0.0.1:${port}"\n${server}` +
      `[store]\nurl = "embedded:${join(folder, "store.redb")}"\ndeadline = "5s"\n[instance]\npassword = ${text(INSTANCE)}\n` +
      more + accounts.map(account).join(""),
  );
  const child = start("broker", provbroker, ["serve", "--config", config]);
  const base = `http://127.0.0.1:${port}`;
  await until("the broker serves", () => fetch(`${base}/healthz`).then((a) => a.ok, () => false));
  return { base, child };
}

export async function operator(base) {
  const call = async (method, path, body, token) => {
    const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
    const answer = await fetch(`${base}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
    const said = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${said}`);
    return said ? JSON.parse(said) : {};
  };
  const { token } = await call("POST", "/token", { password: INSTANCE });
  return (method, path, body) => call(method, `/domains/${DOMAIN}${path}`, body, token);
}

// An observed page: no injected script may run, and nothing may fail or be refused by the policy. In a page that shows a device's
// own pages, `deviceOrigin` is their origin: what the browser refuses to the device is no fault.
export async function watched(browser, options) {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    page.faults.push("a dialog");
    dialog.dismiss();
  });
  page.on("console", (message) => {
    // The browser also reports the status of an error page.
    if (message.type() !== "error" || /status of (404|403|422|409)/.test(message.text())) return;
    page.faults.push(`${message.text()} at ${message.location().url}`);
  });
  return page;
}

export async function clean(page) {
  assert.equal(await page.evaluate(() => window.pwned), undefined, `script has run at ${page.url()}`);
  const ours = page.faults.filter((fault) => !page.deviceOrigin || !fault.includes(page.deviceOrigin));
  assert.deepEqual(ours, [], page.url());
}

export async function signIn(page, base, name) {
  await page.goto(`${base}/ui/sign-in`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${base}/ui/`);
}

export async function examine(page, name, address) {
  await page.goto(address);
  await look(page, name);
}

// Checks one page in both colour schemes and sizes: screenshots, axe, no horizontal scrolling, no injected script.
export async function look(page, name) {
  await page.evaluate(() => document.querySelectorAll("main details").forEach((details) => (details.open = true)));
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(sideways <= 0, `${name} ${size}: ${sideways} px too wide`);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.screenshot({ path: join(shots, `${name}-${size}-${colorScheme}.png`), fullPage: true });
      // Colours are the same at every width.
      if (size === "phone" && colorScheme === "dark") continue;
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      const lines = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join("  ")}`);
      assert.deepEqual(lines, [], `${name} ${size} ${colorScheme}`);
    }
  }
  await clean(page);
  await page.setViewportSize(SIZES.wide);
}

// Debian's browser.
export function launch() {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
}

// Runs a test in a browser and ends the program, including everything that it has started.
export async function test(what, seconds, main) {
  const limit = setTimeout(() => {
    console.error(`${what}: not done within ${seconds} s`);
    for (const child of started) child.kill("SIGKILL");
    process.exit(1);
  }, seconds * 1000);
  let failed = true;
  try {
    const began = Date.now();
    const browser = await launch();
    try {
      await main(browser);
    } finally {
      await browser.close();
    }
    console.log(`${what}: ${Math.round((Date.now() - began) / 1000)} s; screenshots in ${shots}`);
    failed = false;
  } catch (error) {
    console.error(error);
    for (const child of started) console.error(`--- ${child.label}\n${child.said().slice(-2000)}`);
  } finally {
    clearTimeout(limit);
    for (const child of started) child.kill("SIGKILL");
    await Promise.all(started.map((child) => child.ended));
    rmSync(folder, { recursive: true, force: true });
  }
  process.exit(failed ? 1 : 0);
}

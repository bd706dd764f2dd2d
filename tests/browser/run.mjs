// The pages in a real browser: Debian's chromium, driven by playwright-core, held against axe.
//
//   node run.mjs PROVBROKER LOADTEST FOLDER-FOR-SCREENSHOTS
//
// Starts a broker of its own and simulated phones. In every text that a device, a person or an operator supplies is script that
// must not run anywhere. Exit code 0 only if every step was seen.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import AxeBuilder from "@axe-core/playwright";

const [provbroker, loadtest, shots] = process.argv.slice(2);
const DOMAIN = "example.com";
const PASSWORD = "a password for this test";
const INSTANCE = "instance password of this test";
// In an element, in an attribute, and without any quotes.
const PAYLOAD = `"'><img src=x onerror=window.pwned=1><script>window.pwned=1</script>`;
const MAC = "00903341a0b1";
const SIZES = { wide: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

const started = [];
const folder = mkdtempSync(join(tmpdir(), "provbroker-browser-"));
mkdirSync(shots, { recursive: true });

function start(name, program, args, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  child.said = () => said;
  child.ended = new Promise((resolve) => child.on("exit", resolve));
  child.label = name;
  started.push(child);
  return child;
}

async function until(what, look, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not seen within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const text = (value) => JSON.stringify(value);

async function broker() {
  const [port, ops] = [await freePort(), await freePort()];
  const account = (name, role, domain) =>
    `[[accounts]]\nname = ${text(name)}\npassword = ${text(PASSWORD)}\nrole = "${role}"\n` +
    `${domain ? `domain = "${DOMAIN}"\nsip = ${text(name)}\n` : ""}shown = ${text(`${name} ${PAYLOAD}`)}\n`;
  const config = join(folder, "provbroker.toml");
  writeFileSync(
    config,
    `[server]\nlisten = "127.0.0.1:${port}"\nops_listen = "127.0.0.1:${ops}"\npublic_url = "http://127.0.0.1:${port}"\n` +
      `[store]\nurl = "embedded:${join(folder, "store.redb")}"\ndeadline = "5s"\n[instance]\npassword = ${text(INSTANCE)}\n` +
      `[[domains]]\nname = "${DOMAIN}"\npassword = "password of the domain"\n` +
      `[[domains.categories]]\nname = ${text(`Phones ${PAYLOAD}`)}\nprovisioning = true\n` +
      account("anna", "person", true) + account("admin", "rollout", true) +
      account("operator", "operator", true) + account("root", "operator", false),
  );
  const child = start("broker", provbroker, ["serve", "--config", config]);
  const base = `http://127.0.0.1:${port}`;
  await until("the broker serves", () => fetch(`${base}/healthz`).then((a) => a.ok, () => false));
  return { base, child };
}

async function operator(base) {
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

// A page that is watched: nothing may run, fail or be refused by the policy.
async function watched(browser, options) {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    page.faults.push("a dialog");
    dialog.dismiss();
  });
  page.on("console", (message) => {
    // A page for an error is an answer that the browser complains of, too.
    if (message.type() === "error" && !/status of (404|403|422|409)/.test(message.text())) page.faults.push(message.text());
  });
  return page;
}

async function clean(page) {
  assert.equal(await page.evaluate(() => window.pwned), undefined, `script has run at ${page.url()}`);
  assert.deepEqual(page.faults, [], page.url());
}

async function signIn(page, base, name) {
  await page.goto(`${base}/ui/sign-in`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${base}/ui/`);
}

// Looks at one page in both schemes and sizes: screenshots, axe, no sideways scrolling, and nothing runs.
async function examine(page, name, address) {
  await page.goto(address);
  await page.evaluate(() => document.querySelectorAll("main details").forEach((details) => (details.open = true)));
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(sideways <= 0, `${name} ${size}: ${sideways} px too wide`);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.screenshot({ path: join(shots, `${name}-${size}-${colorScheme}.png`), fullPage: true });
      if (size === "phone") continue;
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      const lines = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join("  ")}`);
      assert.deepEqual(lines, [], `${name} ${size} ${colorScheme}`);
    }
  }
  await clean(page);
  await page.setViewportSize(SIZES.wide);
}

async function main() {
  const { base } = await broker();
  const call = await operator(base);
  await call("POST", "/config-jobs", { kind: "ntp", values: { server: "ntp.example.org" } });
  const { code } = await call("POST", "/codes", { category: `Phones ${PAYLOAD}`, sip: `anna${PAYLOAD}` });
  const phone = start("phone", loadtest, [
    "phone", "--init-url", `${base}/init`, "--mac", MAC, "--code", code, "--poll", "0.2", "--product", `IP112 ${PAYLOAD}`,
  ]);
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  try {
    const anonymous = await watched(browser);
    const began = Date.now();
    await anonymous.goto(`${base}/ui/`);
    await anonymous.getByRole("button", { name: "Sign in" }).waitFor();
    console.log(`first page usable after ${Date.now() - began} ms`);
    const again = Date.now();
    await anonymous.reload();
    await anonymous.getByRole("button", { name: "Sign in" }).waitFor();
    console.log(`and again after ${Date.now() - again} ms`);
    await examine(anonymous, "sign-in", `${base}/ui/sign-in`);
    await examine(anonymous, "error", `${base}/ui/nowhere`);
    // By keyboard alone, in German.
    await anonymous.goto(`${base}/ui/sign-in`);
    await anonymous.getByRole("button", { name: "Deutsch" }).click();
    await anonymous.getByRole("heading", { name: "Anmelden" }).waitFor();
    await anonymous.keyboard.press("Tab");
    assert.equal(await anonymous.evaluate(() => document.activeElement.className), "skip");
    await anonymous.getByLabel("Name").focus();
    await anonymous.keyboard.type("anna");
    await anonymous.keyboard.press("Tab");
    await anonymous.keyboard.type("wrong");
    await anonymous.keyboard.press("Enter");
    await anonymous.getByRole("alert").waitFor();
    await clean(anonymous);

    for (const name of ["anna", "admin"]) {
      const page = await watched(browser);
      await signIn(page, base, name);
      await examine(page, `${name}-start`, `${base}/ui/`);
      await examine(page, `${name}-account`, `${base}/ui/account`);
      assert.equal((await page.goto(`${base}/ui/operator`)).status(), 403);
    }

    await until("the phone is a member", async () => {
      const { devices } = await call("GET", "/devices");
      return devices.length === 1 && devices[0].online;
    });
    await call("PATCH", `/devices/${MAC}`, { name: `Reception ${PAYLOAD}` });
    const desk = `${base}/ui/operator/d/${DOMAIN}`;
    for (const name of ["operator", "root"]) {
      const page = await watched(browser);
      await signIn(page, base, name);
      const pages = name === "root"
        ? { domains: `${base}/ui/operator`, unassigned: `${base}/ui/operator/unassigned`, overview: desk }
        : {
            overview: desk, devices: `${desk}/devices`, device: `${desk}/devices/${MAC}`, jobs: `${desk}/jobs`,
            job: `${desk}/jobs/1`, "new-job": `${desk}/jobs/new?kind=sip`, categories: `${desk}/categories`,
            codes: `${desk}/codes`, settings: `${desk}/settings`, accounts: `${base}/ui/operator/accounts`,
            audit: `${base}/ui/operator/audit`,
          };
      for (const [what, address] of Object.entries(pages)) await examine(page, `${name}-${what}`, address);
    }

    // An operator finds a phone that stands still, and the reason, without loading the page again.
    const page = await watched(browser);
    await signIn(page, base, "operator");
    await page.goto(`${desk}/devices/${MAC}`);
    await page.locator(".facts .tag.good", { hasText: "online" }).waitFor();
    await page.evaluate(() => (window.same = true));
    phone.kill("SIGKILL");
    await page.locator(".facts .tag", { hasText: "offline" }).waitFor({ timeout: 60000 });
    await page.getByText("Why it stands still:").waitFor();
    assert.ok(await page.evaluate(() => window.same), "the page was loaded again");
    await clean(page);
    await page.screenshot({ path: join(shots, "stuck.png"), fullPage: true });

    // A job with a mistake is explained at its field; a right one is made.
    await page.goto(`${desk}/jobs/new?kind=ntp`);
    await page.getByRole("button", { name: "Make" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel(/^server/).first().fill("time.example.org");
    await page.getByRole("button", { name: "Make" }).click();
    await page.getByRole("heading", { name: /Job \d+: ntp/ }).waitFor();
    await page.goto(`${base}/ui/operator/audit`);
    await page.getByText("Made a job").first().waitFor();
    await clean(page);
  } finally {
    await browser.close();
  }
}

const limit = setTimeout(() => {
  console.error("not done within 290 s");
  process.exit(1);
}, 290_000);
let failed = true;
try {
  const began = Date.now();
  await main();
  console.log(`every page was looked at; ${Math.round((Date.now() - began) / 1000)} s; screenshots in ${shots}`);
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

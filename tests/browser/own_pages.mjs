// A device's own pages in their frame: they are displayed, and their script cannot access the broker's pages.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { clean, look, until } from "./lib.mjs";

// The first page of a phone with a hostile web server. It tries everything, reports the results, and has a link that would navigate
// the frame elsewhere. It may only read from its own device.
export function hostilePage(file, base) {
  const ui = `${base}/ui/`;
  writeFileSync(
    file,
    `<!doctype html><html lang="en"><title>A phone</title><main><h1>A phone's own page</h1><pre id="said" hidden></pre>
<form method="get" action="admin.xml"><button>Its own form</button></form>
<p><a id="away" href="${ui}account">away</a> <a id="top" href="${ui}account" target="_top">and all of it</a></p></main>
<script>
const said = {};
const attempt = async (name, what) => { try { said[name] = String(await what()); } catch { said[name] = "failed"; } };
const loaded = (tag, name) => new Promise((done, failed) => {
  const element = document.createElement(tag);
  const over = (tell) => () => (element.remove(), tell("loaded"));
  Object.assign(element, { onload: over(done), onerror: over(failed), src: name, href: name, rel: "stylesheet" });
  document.body.append(element);
});
(async () => {
  await attempt("origin", () => self.origin);
  await attempt("cookies", () => document.cookie);
  await attempt("set a cookie", () => (document.cookie = "a=b"));
  await attempt("storage", () => localStorage.length);
  await attempt("read the top", () => top.location.href);
  await attempt("lead the top", () => (top.location.href = "${ui}account"));
  await attempt("parent's cookies", () => parent.document.cookie);
  await attempt("parent's window", () => parent.pwned = 1);
  await attempt("fetch", async () => (await fetch("${ui}", { credentials: "include" })).status);
  await attempt("fetch blindly", async () => (await fetch("${ui}", { mode: "no-cors", credentials: "include" })).type);
  await attempt("fetch the interface", async () => (await fetch("${base}/api/v1/openapi.json")).status);
  await attempt("image", () => loaded("img", "${ui}"));
  await attempt("style", () => loaded("link", "${ui}"));
  await attempt("window", () => window.open("${ui}"));
  await attempt("socket", () => new Promise((done, failed) => {
    const socket = new WebSocket("${base.replace("http", "ws")}/example.com/devices");
    Object.assign(socket, { onopen: done, onerror: failed });
  }));
  await attempt("worker", () => navigator.serviceWorker.register("x.js"));
  await attempt("its own data", async () => (await fetch("admin.xml")).status);
  document.getElementById("said").textContent = JSON.stringify(said);
})();
</script></html>`,
  );
}

const EXPECTED = {
  origin: "null", cookies: "failed", "set a cookie": "failed", storage: "failed", "read the top": "failed", "lead the top": "failed",
  "parent's cookies": "failed", "parent's window": "failed", fetch: "failed", "fetch blindly": "failed",
  "fetch the interface": "failed", image: "failed", style: "failed", window: "null", socket: "failed", worker: "failed",
  "its own data": "200",
};

// Waits until the script of the device's page has tried everything.
function tried(page) {
  return page.frameLocator("iframe.own").locator("#said").filter({ hasText: "its own data" }).waitFor({ state: "attached" });
}

export async function ownPages(page, device) {
  const asked = [];
  page.on("response", (response) => asked.push(response.url()));
  await page.goto(device);
  await page.getByRole("button", { name: "Open its own pages" }).click();
  const shown = page.frameLocator("iframe.own");
  await shown.getByRole("heading", { name: "A phone's own page" }).waitFor();
  await tried(page);
  const frame = page.frames()[1];
  assert.deepEqual(JSON.parse(await shown.locator("#said").textContent()), EXPECTED);
  const origin = new URL(frame.url()).origin;
  assert.notEqual(origin, new URL(device).origin);
  assert.equal(await page.locator("iframe.own").getAttribute("src"), frame.url());
  // The browser reports what it refuses to the device's script at any time from here on; those reports are no faults of ours.
  page.deviceOrigin = origin;
  await look(page, "operator-own-pages");
  await shown.getByRole("button", { name: "Its own form" }).click();
  await page.waitForURL(`${device}/pages`);
  await frame.waitForURL(/admin\.xml/);
  await page.getByRole("button", { name: "Open again" }).click();
  await tried(page);
  await shown.getByRole("link", { name: "and all of it" }).click();
  await shown.getByRole("link", { name: "away", exact: true }).click();
  await until("the frame has left the device", () => page.frames().slice(1).every((other) => !other.url().startsWith(origin)));
  assert.equal(page.url(), `${device}/pages`);
  assert.ok(!page.frames().slice(1).some((other) => other.url().includes("/ui/")), "the frame shows a page of ours");
  const ours = asked.filter((url) => url.startsWith(new URL(device).origin));
  assert.ok(!ours.some((url) => url.endsWith("/ui/account") || url.endsWith("/ui/")), `the device got at ${ours}`);
  await until("the browser has reported what it refused", () => page.faults.some((fault) => fault.includes(origin)));
  await clean(page);
}

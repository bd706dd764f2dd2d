// The pages of operators, and those of all roles, in a real browser. See `lib.mjs`.

import assert from "node:assert/strict";
import { join } from "node:path";
import {
  DOMAIN, PAYLOAD, broker, clean, examine, folder, loadtest, operator, shots, signIn, start, test, text, until, watched,
} from "./lib.mjs";
import { hostilePage, ownPages } from "./own_pages.mjs";

const MAC = "00903341a0b1";

await test("the pages of operators", 290, async (browser) => {
  const { base } = await broker(
    `[[domains]]\nname = "${DOMAIN}"\npassword = "password of the domain"\n` +
      `[[domains.categories]]\nname = ${text(`Phones ${PAYLOAD}`)}\nprovisioning = true\n`,
    [["anna", "person", true], ["admin", "rollout", true], ["operator", "operator", true], ["root", "operator", false]],
  );
  const call = await operator(base);
  await call("POST", "/config-jobs", { kind: "ntp", values: { server: "ntp.example.org" } });
  const { code } = await call("POST", "/codes", { category: `Phones ${PAYLOAD}`, sip: `anna${PAYLOAD}` });
  const first = join(folder, "first.html");
  hostilePage(first, base);
  const phone = start("phone", loadtest, [
    "phone", "--init-url", `${base}/init`, "--mac", MAC, "--code", code, "--poll", "0.2", "--product", `IP112 ${PAYLOAD}`,
    "--release", `13r3 ${PAYLOAD}`, "--page", first,
  ]);
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
  // With the keyboard only, in German.
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
          codes: `${desk}/codes`, entries: `${desk}/entries`, settings: `${desk}/settings`, accounts: `${base}/ui/operator/accounts`,
          audit: `${base}/ui/operator/audit`,
        };
    for (const [what, address] of Object.entries(pages)) await examine(page, `${name}-${what}`, address);
  }

  // In a page of its own, because the browser reports there what it refuses to the device's script.
  const visitor = await watched(browser);
  await signIn(visitor, base, "operator");
  await ownPages(visitor, `${desk}/devices/${MAC}`);
  await visitor.context().close();

  const page = await watched(browser);
  await signIn(page, base, "operator");
  // An operator finds a blocked phone and the reason by following links only. The list updates itself.
  await page.goto(`${base}/ui/`);
  await page.getByRole("navigation").getByRole("link", { name: "Overview" }).click();
  await page.getByText("online, of 1 devices").waitFor();
  await page.getByRole("link", { name: "Devices", exact: true }).click();
  await page.getByLabel("Connection").selectOption({ label: "offline" });
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("There are no such devices.").waitFor();
  await page.evaluate(() => (window.same = true));
  phone.kill("SIGKILL");
  await page.getByRole("link", { name: MAC }).waitFor({ timeout: 60000 });
  assert.ok(await page.evaluate(() => window.same), "the page was loaded again");
  await page.getByRole("link", { name: MAC }).click();
  await page.locator(".facts .tag", { hasText: "offline" }).waitFor();
  const reason = page.locator(".said.warn");
  await reason.getByText("Blocked because:").waitFor();
  assert.match(await reason.innerText(), /has never proved its new password/);
  await clean(page);
  await page.screenshot({ path: join(shots, "stuck.png"), fullPage: true });

  // A fault of a job is explained at its field; a valid job is made.
  await page.goto(`${desk}/jobs/new?kind=ntp`);
  await page.getByRole("button", { name: "Make" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel(/^server/).first().fill("time.example.org");
  await page.getByRole("button", { name: "Make" }).click();
  await page.getByRole("heading", { name: /Job \d+: ntp/ }).waitFor();
  await page.goto(`${base}/ui/operator/audit`);
  await page.getByText("Made a job").first().waitFor();
  await clean(page);
});

// The pages of persons and roll-out administrators, in a real browser: a person adds a phone and sees it become ready, and five
// hundred phones are rolled out, with ten thousand users to choose from. At the end all disconnect at once. See `lib.mjs`.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  DOMAIN, PAYLOAD, broker, clean, examine, folder, loadtest, look, shots, signIn, start, test, text, until, watched,
} from "./lib.mjs";

const USERS = 10_000;
const ROLLED_OUT = 500;

const quoted = (cell) => `"${cell.replaceAll('"', '""')}"`;
const user = (number) => `u${String(number).padStart(5, "0")}`;

function people() {
  const file = join(folder, "people.csv");
  const lines = ["sip,name,groups,number", `anna,${quoted(`Anna ${PAYLOAD}`)},${quoted(`Sales ${PAYLOAD}`)},200`];
  for (let number = 0; number < USERS; number += 1) {
    const name = number === 0 ? "=HYPERLINK(1)" : number === 1 ? `Ben ${PAYLOAD}` : `User ${number}`;
    lines.push(`${user(number)},${quoted(name)},${number % 10 ? "" : "Tenth"},${10_000 + number}`);
  }
  writeFileSync(file, lines.join("\n"));
  return file;
}

// Marks the document, to distinguish a page that was loaded again from one that has updated itself.
const mark = (page) => page.evaluate(() => (window.same = true));
const unmoved = async (page) => assert.ok(await page.evaluate(() => window.same), "the page was loaded again");

async function addsAPhone(browser, base) {
  const page = await watched(browser);
  await signIn(page, base, "anna");
  await examine(page, "phones-none", `${base}/ui/phones`);
  await page.getByRole("link", { name: "Add a phone" }).click();
  await examine(page, "phones-add", page.url());
  await page.getByLabel("Category").selectOption({ label: `Phones ${PAYLOAD}` });
  await page.getByLabel("Phone app").selectOption({ index: 0 });
  await page.getByRole("button", { name: "Get a code" }).click();
  const code = (await page.locator(".digits").textContent()).replaceAll(" ", "");
  assert.match(code, /^\d{12}$/);
  const left = await page.getByRole("timer").textContent();
  await until("the time runs down", async () => (await page.getByRole("timer").textContent()) !== left);
  assert.equal(await page.locator("svg.qr path").count(), 1);
  await examine(page, "phones-code", page.url());
  const address = page.url();
  await mark(page);
  start("phone", loadtest, [
    "phone", "--init-url", `${base}/init`, "--mac", "00903341a0b1", "--code", code, "--poll", "0.2", "--product", `IP112 ${PAYLOAD}`,
  ]);
  await page.locator(".way li.done", { hasText: "Ready" }).waitFor({ timeout: 60_000 });
  await page.getByText("entered", { exact: true }).waitFor({ timeout: 30_000 });
  await unmoved(page);
  await clean(page);
  await examine(page, "phones-ready", address);
  await page.goto(`${base}/ui/phones`);
  await page.getByText("online", { exact: true }).waitFor();
  await examine(page, "phones", `${base}/ui/phones`);
  // Another code, which is cancelled.
  await page.goto(`${base}/ui/phones/add`);
  await page.getByRole("button", { name: "Get a code" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("alert").getByText("Cancelled").waitFor();
  await examine(page, "phones-cancelled", page.url());
  // In German, and a page that does not exist.
  await page.getByRole("button", { name: "Deutsch" }).click();
  await page.getByRole("alert").getByText("Abgebrochen").waitFor();
  assert.equal((await page.goto(`${base}/ui/phones/${"0".repeat(32)}`)).status(), 404);
  assert.equal((await page.goto(`${base}/ui/rollouts`)).status(), 403);
  return code;
}

// The four steps, with a file of users.
async function rollsOut(browser, base) {
  const page = await watched(browser, { acceptDownloads: true });
  await signIn(page, base, "admin");
  await examine(page, "rollouts-none", `${base}/ui/rollouts`);
  await page.getByRole("link", { name: "New phone registrations" }).click();
  await page.getByRole("link", { name: "Go on" }).waitFor();
  await examine(page, "rollout-connection", page.url());
  await page.getByRole("link", { name: "Go on" }).click();
  await examine(page, "rollout-phones", page.url());
  await page.getByLabel("Category").selectOption({ label: "Reception" });
  await page.getByLabel("Name").fill(`Second floor ${PAYLOAD}`);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByText(`Matching users: ${USERS + 1}`).waitFor();
  await examine(page, "rollout-users", page.url());
  const began = Date.now();
  await page.getByRole("button", { name: "Add all matching users to the list" }).click();
  await page.getByText(`Users on the list: ${USERS + 1}`).waitFor();
  console.log(`${USERS} users chosen after ${Date.now() - began} ms`);
  await page.getByLabel("One user on each line").fill("nobody\n");
  await page.getByRole("button", { name: "Make the codes" }).click();
  await page.getByRole("alert").getByText("nobody").waitFor();
  // A search, a selection, and the file; the list keeps its entries.
  await page.getByLabel("One user on each line").fill("");
  await page.getByLabel("Name, SIP name or number").fill("10001");
  await page.getByLabel("Name, SIP name or number").press("Enter");
  await page.getByText("Matching users: 1", { exact: true }).waitFor();
  await page.getByRole("checkbox").first().check();
  await page.getByRole("button", { name: "Add the ticked users to the list" }).click();
  await page.getByText("Users on the list: 1", { exact: true }).waitFor();
  const file = join(folder, "floor.csv");
  const names = Array.from({ length: ROLLED_OUT }, (_, number) => `${user(number)};whatever`);
  writeFileSync(file, `SIP;Name\r\n${names.join("\r\n")}\r\n`);
  await page.getByLabel("Add a file").setInputFiles(file);
  await page.getByRole("button", { name: "Add the file to the list" }).click();
  await page.getByText(`Users on the list: ${ROLLED_OUT}`, { exact: true }).waitFor();
  await look(page, "rollout-list");
  await page.getByRole("button", { name: "Make the codes" }).click();
  await page.getByRole("heading", { name: "Second floor" }).waitFor();
  await until("all codes are made", async () => {
    const sum = await page.locator("#sum").textContent();
    return sum.includes(`/ ${ROLLED_OUT}`) && !sum.includes("made so far");
  }, 90);
  const address = page.url();
  // axe takes ten seconds for a page of a hundred rows, and a minute and a half for five hundred cards: a part of them suffices.
  await examine(page, "rollout", `${address}?search=User+49`);
  await page.goto(address);
  await page.getByText("7 days from the day of issue").waitFor();
  // One is cancelled and given a new code.
  const row = page.getByRole("row").nth(3);
  const before = await row.locator(".code").textContent();
  await row.getByRole("button", { name: "Cancel" }).click();
  await row.getByText("Cancelled").waitFor();
  await row.getByRole("button", { name: "New code" }).click();
  await row.getByText("Pending").waitFor();
  assert.notEqual(await row.locator(".code").textContent(), before);
  // Closed and opened again, then printed and downloaded.
  await page.goto(`${base}/ui/rollouts`);
  await page.getByRole("link", { name: "Second floor" }).click();
  await examine(page, "rollout-cards", `${address}/cards?from=${ROLLED_OUT - 12}`);
  await page.goto(`${address}/cards`);
  assert.equal(await page.locator(".sheet > li svg.qr").count(), ROLLED_OUT);
  await page.emulateMedia({ media: "print", colorScheme: "light" });
  await page.screenshot({ path: join(shots, "rollout-cards-print.png") });
  await page.emulateMedia({ media: "screen" });
  await page.goto(address);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download as CSV" }).click(),
  ]);
  const codes = join(folder, "codes.csv");
  await download.saveAs(codes);
  const cells = readFileSync(codes, "utf8").split(/[\r\n,]+/).map((cell) => cell.replace(/^"/, ""));
  assert.deepEqual(cells.filter((cell) => /^[=+@\-\t]/.test(cell)), [], "a cell that a spreadsheet calculates");
  assert.equal(cells.filter((cell) => /^\d{4} \d{4} \d{4}$/.test(cell)).length, ROLLED_OUT);
  // Every phone uses its code, and the page updates itself.
  await page.goto(address);
  await mark(page);
  const phones = start("phones", loadtest, ["phones", "--init-url", `${base}/init`, "--codes", codes, "--poll", "1", "--product", `IP112 ${PAYLOAD}`]);
  await page.locator("#sum", { hasText: `${ROLLED_OUT} / ${ROLLED_OUT}` }).waitFor({ timeout: 120_000 });
  assert.equal(await page.locator("td .tag.good", { hasText: "Registered" }).count(), 100);
  await unmoved(page);
  await clean(page);
  await page.screenshot({ path: join(shots, "rollout-registered.png") });
  await examine(page, "rollout-found", `${address}?search=User+49`);
  await page.goto(`${address}?state=pending`);
  await page.getByText("There are no such users.").waitFor();
  await examine(page, "rollouts", `${base}/ui/rollouts`);
  return phones;
}

// All phones disconnect at once, as at the start of a storm.
async function seesAStorm(browser, base, phones) {
  const page = await watched(browser);
  await signIn(page, base, "root");
  await page.goto(`${base}/ui/operator`);
  await mark(page);
  phones.kill("SIGKILL");
  const missing = page.locator(".card", { hasText: "known devices not yet back" });
  await missing.getByText(String(ROLLED_OUT), { exact: true }).waitFor({ timeout: 60_000 });
  await page.locator(".card", { hasText: "estimated time until all are back" }).getByText("not known").waitFor();
  await unmoved(page);
  await clean(page);
  await examine(page, "storm", page.url());
}

await test("the pages of people", 290, async (browser) => {
  const { base } = await broker(
    `[apps]\nrequests_per_second = 500\nnotice_window = 500\nnotice_hold = "100ms"\n` +
      `[users]\nphone_apps = ["phone", ${text(`softphone ${PAYLOAD}`)}]\n` +
      `[users.file]\nusers = ${text(people())}\nphones = ${text(join(folder, "phones.csv"))}\n` +
      `[[domains]]\nname = "${DOMAIN}"\npassword = "password of the domain"\n` +
      `[[domains.categories]]\nname = ${text(`Phones ${PAYLOAD}`)}\nprovisioning = true\n` +
      `[[domains.categories]]\nname = "Reception"\nprovisioning = true\n`,
    [["anna", "person", true], ["admin", "rollout", true], ["root", "operator", false]],
  );
  await addsAPhone(browser, base);
  const phones = await rollsOut(browser, base);
  // The file of the backend contains no formula either.
  const entered = readFileSync(join(folder, "phones.csv"), "utf8");
  assert.equal(entered.trim().split("\n").length, ROLLED_OUT + 2);
  assert.ok(!/(^|,)"?[=+@]/m.test(entered));
  await seesAStorm(browser, base, phones);
});

// Signing in at a real OpenID provider in a real browser. See `lib.mjs`.
//
// The provider is `oidc-provider`, in this process, with its own page to sign in: it is on another site than the broker, so cookies
// behave as they do on the network. Claims about users are available at its userinfo endpoint only, as is this provider's default.

import assert from "node:assert/strict";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import Provider from "oidc-provider";
import { DOMAIN, PAYLOAD, broker, clean, examine, freePort, look, signIn, test, text, watched } from "./lib.mjs";

const CLIENT = "provbroker";
const SECRET = "a secret of the client";
const PASSWORD = "a password at the provider";
const PEOPLE = {
  anna: { name: `Anna ${PAYLOAD}`, preferred_username: "anna", groups: ["staff"] },
  olga: { name: "Olga", preferred_username: "olga", groups: ["staff", "phone-operators"] },
  guest: { name: "Guest", preferred_username: "guest", groups: [] },
};

// The provider's page: asks for name and password, reports wrong ones, and offers to cancel.
async function interaction(provider, ctx) {
  await provider.interactionDetails(ctx.req, ctx.res);
  let said = "";
  if (ctx.method === "POST") {
    const pieces = [];
    for await (const piece of ctx.req) pieces.push(piece);
    const form = new URLSearchParams(Buffer.concat(pieces).toString());
    const finish = (result) => provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
    if (form.has("abort")) return finish({ error: "access_denied", error_description: `gave up ${PAYLOAD}` });
    if (PEOPLE[form.get("name")] && form.get("password") === PASSWORD) {
      return finish({ login: { accountId: form.get("name") } });
    }
    said = "<p role=alert>Wrong name or password</p>";
  }
  ctx.type = "html";
  ctx.body =
    `<!doctype html><html lang=en><title>Acme</title><h1>Acme</h1>${said}<form method=post><label>User <input name=name></label>` +
    "<label>Password <input name=password type=password></label><button>Enter</button><button name=abort value=1>Give up</button></form>";
}

function startProvider(port, redirect) {
  const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
  const provider = new Provider(`http://localhost:${port}`, {
    clients: [{ client_id: CLIENT, client_secret: SECRET, redirect_uris: [redirect] }],
    jwks: { keys: [{ ...key, kid: "k1", alg: "RS256", use: "sig" }] },
    cookies: { keys: [randomUUID()] },
    claims: { profile: ["name", "preferred_username", "groups"], email: ["email"] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) }),
    // Users are not asked for consent.
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope("openid profile email");
      await grant.save();
      return grant;
    },
  });
  provider.use((ctx, next) => (ctx.path.startsWith("/interaction/") ? interaction(provider, ctx) : next()));
  return new Promise((resolve) => {
    const server = provider.listen(port, "127.0.0.1", () => resolve(server));
  });
}

async function leave(page) {
  await page.getByRole("link", { name: "Sign in with Acme" }).click();
}

async function enter(page, name, password = PASSWORD) {
  await page.getByLabel("User").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Enter" }).click();
}

await test("signing in at an OpenID provider", 60, async (browser) => {
  const port = await freePort();
  const { base } = await broker(
    `[[domains]]\nname = "${DOMAIN}"\npassword = "password of the domain"\n` +
      `[pages.oidc]\nissuer = "http://localhost:${port}"\nclient_id = ${text(CLIENT)}\nclient_secret = ${text(SECRET)}\nname = "Acme"\n` +
      `domain = "${DOMAIN}"\nrole_claim = "groups"\npersons = ["staff"]\noperators = ["phone-operators"]\n`,
    [["anna", "person", true]],
  );

  // While the provider is unavailable, accounts of the broker work, and the page explains the problem.
  const page = await watched(browser);
  await page.goto(`${base}/ui/sign-in`);
  await leave(page);
  await page.getByRole("heading", { name: "Sign-in is not possible there at the moment" }).waitFor();
  page.faults = page.faults.filter((fault) => !/status of 503/.test(fault));
  const local = await watched(browser);
  await signIn(local, base, "anna");

  const server = await startProvider(port, `${base}/ui/oidc/callback`);
  try {
    await examine(page, "oidc-sign-in", `${base}/ui/sign-in`);
    // A wrong password stays at the provider; cancelling leads to a page that says what to do.
    await page.goto(`${base}/ui/account`);
    await leave(page);
    await enter(page, "anna", "wrong");
    await page.getByRole("alert").filter({ hasText: "Wrong name or password" }).waitFor();
    await page.getByRole("button", { name: "Give up" }).click();
    await page.getByRole("heading", { name: "You have not signed in" }).waitFor();
    await look(page, "oidc-denied");

    // The right one leads to the page that was requested.
    await page.goto(`${base}/ui/account`);
    await leave(page);
    await enter(page, "anna");
    await page.waitForURL(`${base}/ui/account`);
    await page.getByText("oidc:anna").waitFor();
    assert.equal(await page.getByLabel("New password").count(), 0);
    await page.goto(`${base}/ui/`);
    await page.getByRole("heading", { name: "Hello, Anna" }).waitFor();
    await clean(page);

    // Signed out here, still signed in at the provider: one click is enough.
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(`${base}/ui/sign-in`);
    await leave(page);
    await page.getByRole("heading", { name: "Hello, Anna" }).waitFor();

    for (const [name, heading] of [["olga", /example\.com|Overview/], ["guest", "Your account may not use this service"]]) {
      const other = await watched(browser);
      await other.goto(`${base}/ui/operator`);
      await leave(other);
      await enter(other, name);
      await other.getByRole("heading", { name: heading }).first().waitFor();
      await clean(other);
    }
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

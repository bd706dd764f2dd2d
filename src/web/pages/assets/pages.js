// The script of the pages: shows times in the time zone of the browser, and refreshes parts of pages that change. Pages also
// work without it.
"use strict";
(() => {
  const lang = document.documentElement.lang;
  // The browser's regional variant of the language of the page, if it has one.
  const locale = navigator.language.startsWith(lang) ? navigator.language : lang;
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.valueOf())) time.textContent = format.format(at);
    }
  }

  // Updates `old` to `fresh` and changes only what differs, so that the focus and typed text stay.
  function renew(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh.cloneNode(true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    const typing = old === document.activeElement && "value" in old;
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !(typing && name === "value")) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      const byPerson = name === "open" && old.nodeName === "DETAILS";
      if (!fresh.hasAttribute(name) && !byPerson) old.removeAttribute(name);
    }
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    after.forEach((node, at) => {
      if (at < before.length) renew(before[at], node);
      else old.append(node.cloneNode(true));
    });
    before.slice(after.length).forEach((node) => node.remove());
  }

  // Countdowns run in the browser; when one reaches 0, the page is refreshed.
  const ends = new WeakMap();

  function countDown(root) {
    for (const left of root.querySelectorAll("[data-left]")) {
      ends.set(left, performance.now() + Number(left.dataset.left) * 1000);
    }
  }

  function tick() {
    for (const left of document.querySelectorAll("[data-left]")) {
      const seconds = Math.max(0, Math.round((ends.get(left) - performance.now()) / 1000));
      const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
      const two = (number) => String(number).padStart(2, "0");
      const text = `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
      if (left.textContent !== text) left.textContent = text;
      if (seconds === 0) refresh();
    }
  }

  let reading = false;
  let again = false;

  async function refresh() {
    if (document.hidden) {
      again = true;
      return;
    }
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    again = false;
    try {
      const answer = await fetch(location.href, { headers: { "X-By-Itself": "1" }, redirect: "manual" });
      if (answer.status === 401) {
        location.reload();
        return;
      }
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        localTimes(page);
        for (const part of document.querySelectorAll("[data-part]")) {
          const fresh = page.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`);
          if (fresh) renew(part, fresh);
        }
        countDown(document);
        tick();
      }
    } catch {
      // The next event or refresh tries again.
    } finally {
      reading = false;
      if (again && !document.hidden) setTimeout(refresh, 500);
    }
  }

  function listen() {
    const live = document.querySelector("[data-live]");
    if (!live) return;
    let poll = 0;
    const events = new EventSource(live.dataset.live);
    // Changes since the page was loaded, or during an interruption, may have been missed.
    events.addEventListener("hello", () => {
      clearInterval(poll);
      poll = 0;
      refresh();
    });
    events.addEventListener("changed", refresh);
    events.addEventListener("error", () => {
      // The browser reconnects by itself unless it was refused; poll in any case.
      if (!poll) poll = setInterval(refresh, 15000);
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && again) refresh();
    });
  }

  // A second click while the answer is pending does not send the form twice.
  let sent = -Infinity;
  document.addEventListener("submit", (event) => {
    const again = performance.now() - sent < 2000;
    if (again) event.preventDefault();
    else sent = performance.now();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) print();
  });

  localTimes(document);
  countDown(document);
  if (document.querySelector("[data-left]")) tick();
  setInterval(tick, 1000);
  listen();
})();

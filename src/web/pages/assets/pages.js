// The script of the pages: times in the time zone of the browser, and parts that renew themselves. Without it all pages work,
// only not by themselves.
"use strict";
(() => {
  const lang = document.documentElement.lang;
  // English is written in more ways than one.
  const locale = navigator.language.startsWith(lang) ? navigator.language : lang;
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.valueOf())) time.textContent = format.format(at);
    }
  }

  // Makes `old` like `fresh` and touches only what differs, so that the focus and what is being typed stay.
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

  // Times that are left run down by themselves; when one has come to its end the page is looked at.
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
      if (seconds === 0) look();
    }
  }

  let reading = false;
  let again = false;

  async function look() {
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
      // The next event, or the next look, tries again.
    } finally {
      reading = false;
      if (again && !document.hidden) setTimeout(look, 500);
    }
  }

  function listen() {
    const live = document.querySelector("[data-live]");
    if (!live) return;
    let poll = 0;
    const events = new EventSource(live.dataset.live);
    // Since the page was made, or in an interruption, something may have been missed.
    events.addEventListener("hello", () => {
      clearInterval(poll);
      poll = 0;
      look();
    });
    events.addEventListener("changed", look);
    events.addEventListener("error", () => {
      // The browser tries again by itself unless it was refused; look now and then in any case.
      if (!poll) poll = setInterval(look, 15000);
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && again) look();
    });
  }

  // A second press of a button while the answer is on its way does not do it twice.
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

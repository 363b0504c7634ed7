"use strict";
// Keeps a page as it would be if it were loaded now. Elements with `data-live` and an id are replaced by what a fresh
// copy of the page holds, when the server says that something changed (`data-events` of <main>: an address of events)
// or every so many seconds (`data-every`). Without this script the page shows what was there when it was made.
const main = document.getElementById("main");

if (location.hash === "#pools" && location.pathname === "/") location.replace("/status#pools");

function swap(now) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = now.getElementById(old.id);
    if (!fresh || old.outerHTML === fresh.outerHTML) continue;
    // What is open, and where the keyboard is, stays.
    for (const details of old.querySelectorAll("details[open][id]")) {
      const same = fresh.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = true;
    }
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.replaceWith(document.importNode(fresh, true));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
  // Rows that are new or gone: the whole body, because ids no longer pair.
  for (const old of document.querySelectorAll("[data-rows]")) {
    const fresh = now.getElementById(old.id);
    if (fresh && fresh.dataset.rows !== old.dataset.rows) old.replaceWith(document.importNode(fresh, true));
  }
  progress();
}

let busy = false;
let again = false;
async function refresh() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The next event comes, or the next second.
  }
  setTimeout(() => {
    busy = false;
    if (again) {
      again = false;
      refresh();
    }
  }, 500);
}

// What runs is expected to take so long: the bar goes on without asking anybody.
function progress() {
  const now = Date.now();
  for (const bar of document.querySelectorAll("progress[data-start]")) {
    bar.value = Math.min(bar.max * 0.99, now - Number(bar.dataset.start));
  }
}

if (main?.dataset.events) {
  const events = new EventSource(main.dataset.events);
  events.addEventListener("changed", refresh);
}
if (main?.dataset.every) setInterval(() => document.hidden || refresh(), Number(main.dataset.every) * 1000);
if (document.querySelector("progress[data-start]")) setInterval(progress, 1000);

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "copied";
  });
}

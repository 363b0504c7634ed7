"use strict";
// Shows the part of a log that the address names (#L900000) without loading the rest, more at either end on demand, and
// what a running build writes. Lines come from the server as they are shown; this script only puts them in place.
const log = document.getElementById("log");

async function part(line, lines) {
  const at = new URL(log.dataset.lines, location.href);
  at.searchParams.set("line", Math.max(1, line));
  at.searchParams.set("lines", lines);
  const answer = await fetch(at);
  if (!answer.ok) return [];
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return [...page.querySelectorAll(".l")].map((row) => document.importNode(row, true));
}

const number = (row) => Number(row.id.slice(1));

async function jump() {
  const named = /^#L([1-9][0-9]{0,14})$/.exec(location.hash);
  if (!named) return;
  let row = document.getElementById("L" + named[1]);
  if (!row) {
    const rows = await part(Number(named[1]) - 100, 300);
    if (rows.length === 0) return;
    log.replaceChildren(...rows);
    row = document.getElementById("L" + named[1]);
  }
  for (const old of log.querySelectorAll(".here")) old.classList.remove("here");
  row?.classList.add("here");
  row?.scrollIntoView({ block: "center" });
}

async function more(earlier) {
  const rows = log.querySelectorAll(".l");
  if (rows.length === 0) return;
  if (earlier) {
    const first = number(rows[0]);
    const from = Math.max(1, first - 300);
    if (first > from) {
      const height = log.scrollHeight;
      log.prepend(...(await part(from, first - from)));
      log.scrollTop += log.scrollHeight - height;
    }
  } else {
    log.append(...(await part(number(rows[rows.length - 1]) + 1, 300)));
  }
}

if (log) {
  addEventListener("hashchange", jump);
  jump();
  for (const [id, earlier] of [["earlier", true], ["later", false]]) {
    document.getElementById(id)?.addEventListener("click", (event) => {
      event.preventDefault();
      more(earlier);
    });
  }
  if (log.dataset.events) follow();
  else if (!location.hash) log.scrollTop = log.scrollHeight;
}

function follow() {
  const events = new EventSource(log.dataset.events);
  let busy = false;
  let again = false;
  const fresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const rows = log.querySelectorAll(".l");
    const last = rows[rows.length - 1];
    // The last line may have been without its end.
    const next = await part(last ? number(last) : 1, 1000);
    if (next.length > 0) {
      last?.remove();
      log.append(...next);
      if (atEnd) log.scrollTop = log.scrollHeight;
    }
    setTimeout(() => {
      busy = false;
      if (again) {
        again = false;
        fresh();
      }
    }, 300);
  };
  log.scrollTop = log.scrollHeight;
  events.addEventListener("log", fresh);
  events.addEventListener("end", () => {
    events.close();
    location.reload();
  });
  events.addEventListener("broken", () => events.close());
}

"use strict";
// Appends what a running build writes. The browser comes back by itself with the last event's id, so that a
// reconnect misses nothing; without this script the page shows what was there when it was made.
const log = document.getElementById("log");
if (log && log.dataset.events) {
  const events = new EventSource(log.dataset.events);
  events.addEventListener("log", (event) => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(JSON.parse(event.data).text);
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
  events.addEventListener("end", () => {
    events.close();
    location.reload();
  });
  events.addEventListener("broken", () => events.close());
}

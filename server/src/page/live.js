// Keeps a page alive: replaces the parts that the server sends, and turns times into ages. Without it, pages are as they
// were when they were loaded.
"use strict";

const live = document.getElementById("live");
// The server's clock less this one's, milliseconds.
let skew = 0;
let heard = 0;

function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor(s / 60) % 60 + " min";
  return Math.floor(s / 86400) + " d " + Math.floor(s / 3600) % 24 + " h";
}

function ages() {
  const now = Date.now() + skew;
  for (const time of document.querySelectorAll("time[data-at]")) {
    const text = age(now - Number(time.dataset.at)) + " ago";
    if (time.textContent !== text) time.textContent = text;
  }
  for (const time of document.querySelectorAll("time[data-since]")) {
    const text = "for " + age(now - Number(time.dataset.since));
    if (time.textContent !== text) time.textContent = text;
  }
}

function say(state, text) {
  if (live.dataset.state !== state || live.textContent !== text) {
    live.dataset.state = state;
    live.textContent = text;
  }
  document.body.classList.toggle("stale", state === "off");
}

function silent() {
  say("off", "Not connected" + (heard ? "; values are " + age(Date.now() - heard) + " old" : ""));
}

function replace(id, html) {
  const element = document.getElementById(id);
  if (!element) return;
  // What has the focus, or is open, stays so.
  const focus = element.contains(document.activeElement) && document.activeElement.getAttribute("href");
  const open = Array.from(element.querySelectorAll("details"), (details) => details.open);
  const template = document.createElement("template");
  template.innerHTML = html;
  const fresh = template.content.firstElementChild;
  if (!fresh) return;
  fresh.querySelectorAll("details").forEach((details, n) => { details.open = open[n] || false; });
  element.replaceWith(fresh);
  if (focus) {
    const same = Array.from(fresh.querySelectorAll("a[href]")).find((link) => link.getAttribute("href") === focus);
    if (same) same.focus({ preventScroll: true });
  }
}

let source = null;
let retry = 0;

function disconnect() {
  clearTimeout(retry);
  if (source) source.close();
  source = null;
}

function connect() {
  if (source) return;
  clearTimeout(retry);
  const mine = source = new EventSource("events" + document.body.dataset.stream);
  source.onmessage = (event) => {
    const { now, parts } = JSON.parse(event.data);
    skew = now - Date.now();
    heard = Date.now();
    for (const [id, html] of parts) replace(id, html);
    ages();
    say("on", "Live");
  };
  source.onerror = () => {
    if (mine !== source) return;
    silent();
    // A refused stream is not tried again by the browser: a server that restarts behind a proxy answers 502 for a while.
    if (source.readyState !== EventSource.CLOSED) return;
    disconnect();
    retry = setTimeout(again, 3000 + Math.random() * 4000);
  };
}

// The stream was refused. If the login has ended, the page leads there.
function again() {
  fetch(location.href, { method: "HEAD", cache: "no-store" })
    .then((answer) => { if (answer.redirected) location.reload(); else connect(); })
    .catch(connect);
}

// A page that is left frees its connection at once. The browser may bring it back as it was.
addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => { if (event.persisted) connect(); });

// A browser has six connections for a server, and each page that is seen needs one.
let hidden = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(disconnect, 2000);
  else connect();
});

say("wait", "Connecting");
ages();
setInterval(() => {
  ages();
  // The server sends something every 10 s: a connection that is dead without an error is noticed, too.
  if (live.dataset.state === "off" || (heard && Date.now() - heard > 25000)) silent();
}, 1000);
connect();

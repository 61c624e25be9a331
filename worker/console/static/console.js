// Keeps a page up to date. Without this script, each page shows the same, as of when it was loaded.
"use strict";

// Parts with `data-live` and an id are replaced when the server says that something has changed.
async function refresh() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (response.redirected || response.status === 401) {
    location.reload();
    return;
  }
  if (!response.ok) {
    showState(`Not up to date: the console answered ${response.status}.`);
    return;
  }
  const text = await response.text();
  const fresh = new DOMParser().parseFromString(text, "text/html");
  document.body.dataset.now = fresh.body.dataset.now;
  measureClock();
  for (const part of document.querySelectorAll("[data-live]")) {
    const found = fresh.getElementById(part.id);
    // What the operator is filling in stays as it is.
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const isUsed = focused?.matches("input, select, textarea") || part.querySelector("input:checked");
    if (!found || isUsed || found.innerHTML === part.innerHTML) continue;
    const opened = [...part.querySelectorAll("details")].map((each) => each.open);
    part.innerHTML = found.innerHTML;
    part.querySelectorAll("details").forEach((each, place) => (each.open ||= opened[place] ?? false));
    const same = (each) => each.outerHTML === focused?.outerHTML;
    [...part.querySelectorAll("a, button, summary")].find(same)?.focus({ preventScroll: true });
  }
  countDown();
  document.dispatchEvent(new Event("refreshed"));
  showState("");
}

function showState(text) {
  const state = document.querySelector("[data-live-state]");
  if (!state) return;
  state.hidden = text === "";
  state.textContent = text;
}

function listen() {
  const stream = new EventSource("/live");
  let refreshing = false;
  let again = false;
  stream.addEventListener("changed", async () => {
    again = true;
    if (refreshing || document.hidden) return;
    refreshing = true;
    while (again) {
      again = false;
      await refresh().catch(() => showState("Not up to date: no answer from the console."));
    }
    refreshing = false;
  });
  stream.addEventListener("error", () => showState("Not up to date: no connection to the console."));
}

// The browser's clock may differ from the server's.
let clockOffset = 0;

function measureClock() {
  clockOffset = Date.parse(document.body.dataset.now) - Date.now();
}

// <time data-until datetime="…">: the time that is left runs down.
function countDown() {
  for (const each of document.querySelectorAll("time[data-until]")) {
    const left = (Date.parse(each.dateTime) - Date.now() - clockOffset) / 1000;
    each.textContent = left > 0 ? `${left.toFixed(left < 10 ? 1 : 0)} s left` : `over for ${(-left).toFixed(0)} s`;
  }
}

// On the sign-in page: a browser that came from another site did not send the session's cookie.
async function continueIfSignedIn(next) {
  const response = await fetch("/signed-in", { redirect: "manual", headers: { Accept: "*/*" } });
  if (response.status === 204) location.replace(next);
}

measureClock();
const signIn = document.body.dataset.signIn;
if (signIn !== undefined) {
  continueIfSignedIn(signIn);
} else {
  if (document.querySelector("[data-live]")) listen();
  countDown();
  setInterval(countDown, 100);
}

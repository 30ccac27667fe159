// Refreshes the status page in place, and copies commands. Without this file the page reloads as a whole, and commands
// are selected by hand.
"use strict";

document.documentElement.classList.add("scripted");

// ---- copying -------------------------------------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const code = document.getElementById(button.dataset.copy);
  const done = await copied(code.textContent);
  if (!done) select(code);
  say(button, done ? "Copied" : "Selected: press Ctrl+C");
});

// The clipboard is only given to pages that came over TLS or from this machine; the older way is not so particular.
async function copied(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused by the user, or by a policy.
    }
  }
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.className = "hidden";
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (focused) focused.focus({ preventScroll: true });
  return done;
}

function select(code) {
  const details = code.closest("details");
  if (details) details.open = true;
  const range = document.createRange();
  range.selectNodeContents(code);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

function say(button, words) {
  const label = button.dataset.said ?? button.textContent;
  button.dataset.said = label;
  button.textContent = words;
  button.setAttribute("aria-live", "polite");
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    button.textContent = label;
  }, 2000);
}

// ---- making this document like another one -------------------------------------------------------------------------

// Nodes that are in both stay the same nodes: scroll position, focus, selection and open details are theirs.
function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  morphAttributes(from, to);
  const stays = from.isEqualNode(to) || from.matches("button[data-said]");
  if (!stays) morphChildren(from, to);
}

function morphAttributes(from, to) {
  const isFoldedAnew = from.dataset.open !== to.dataset.open;
  for (const { name } of [...from.attributes]) {
    // Whether details are open is the reader's choice, until they are open or closed for another reason than before.
    const isReaders = from.nodeName === "DETAILS" && name === "open" && !isFoldedAnew;
    if (!to.hasAttribute(name) && !isReaders && !name.startsWith("data-said")) from.removeAttribute(name);
  }
  for (const { name, value } of [...to.attributes]) {
    const isReaders = from.nodeName === "DETAILS" && name === "open" && !isFoldedAnew;
    if (!isReaders && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
}

function morphChildren(from, to) {
  const named = new Map();
  for (const child of from.children) if (child.id) named.set(child.id, child);
  let place = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    let present = wanted.id ? named.get(wanted.id) : place;
    const isOfItsKind = present && present.nodeName === wanted.nodeName && (present.id || "") === (wanted.id || "");
    if (!isOfItsKind) {
      from.insertBefore(document.importNode(wanted, true), place);
      continue;
    }
    if (present === place) place = place.nextSibling;
    else from.insertBefore(present, place);
    morph(present, wanted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

// ---- refreshing ----------------------------------------------------------------------------------------------------

const seconds = Number(document.body.dataset.refreshSeconds);
const LONGEST_WAIT_MS = 25_000;

let lookedAt = performance.now();
let failedSince = null;
let underWay = null;
let title = document.title;

async function refresh() {
  if (underWay) underWay.abort();
  const turn = new AbortController();
  underWay = turn;
  const limit = setTimeout(() => turn.abort(new Error("no answer came in time")), LONGEST_WAIT_MS);
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: turn.signal });
    if (!answer.ok) throw new Error(`the exporter answered ${answer.status}`);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!next.getElementById("looked")) throw new Error("something else answered");
    show(next);
    failedSince = null;
  } catch (error) {
    // Another refresh has taken the place of this one.
    if (underWay !== turn) return;
    failedSince ??= new Date();
    tell(error);
  } finally {
    clearTimeout(limit);
    if (underWay === turn) underWay = null;
  }
  tick();
}

function show(next) {
  const focused = document.activeElement;
  title = next.title;
  document.querySelector("link[rel=icon]").href = next.querySelector("link[rel=icon]").getAttribute("href");
  morph(document.getElementById("looked"), next.getElementById("looked"));
  morph(document.getElementById("content"), next.getElementById("content"));
  lookedAt = performance.now();
  // A node that was moved has lost it.
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

let why = "";
function tell(error) {
  why = error instanceof TypeError ? "the exporter does not answer" : error.message;
}

function tick() {
  const age = Math.round((performance.now() - lookedAt) / 1000);
  document.getElementById("age").textContent = `· ${inWords(age)} ago · again every ${seconds} s`;
  const [failure, old] = document.getElementById("refresh-failure").children;
  const words = failedSince ? `Not refreshed since ${failedSince.toLocaleTimeString()}: ${why}.` : "";
  // Only this is read out by a screen reader, and only when it changes.
  if (failure.textContent !== words) failure.textContent = words;
  old.textContent = failedSince ? `What you see is ${inWords(age)} old.` : "";
  document.documentElement.classList.toggle("stale", Boolean(failedSince));
  document.title = failedSince ? `? not refreshed · ${title}` : title;
}

function inWords(age) {
  if (age < 120) return `${age} s`;
  if (age < 7200) return `${Math.floor(age / 60)} min`;
  return `${Math.floor(age / 3600)} h`;
}

if (seconds) {
  setInterval(refresh, seconds * 1000);
  setInterval(tick, 1000);
  // A hidden page is hardly ever given time.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && performance.now() - lookedAt > seconds * 1000) refresh();
  });
  let typing;
  document.addEventListener("input", (event) => {
    if (event.target.id !== "instance-filter") return;
    clearTimeout(typing);
    typing = setTimeout(() => {
      const asked = new URLSearchParams(new FormData(event.target.form));
      for (const [name, value] of [...asked]) if (!value) asked.delete(name);
      history.replaceState(null, "", asked.size ? `/?${asked}` : "/");
      refresh();
    }, 250);
  });
  tick();
}

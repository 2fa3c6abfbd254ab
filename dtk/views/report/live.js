// Keeps the page of a running task as the task is: takes parts from dtk watch and puts them in their places.
"use strict";
const closed = new Set(); // what a person has closed stays closed
const note = document.getElementById("live");

function say(text, kind) {
  note.textContent = text;
  note.className = "live " + kind;
  note.hidden = false;
}

document.addEventListener("toggle", (event) => {
  const { id, open } = event.target;
  if (id) closed[open ? "delete" : "add"](id);
}, true);

function put(place, html) {
  const old = document.getElementById(place);
  if (!old) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.closest("details[id]")?.id : "";
  const fresh = document.createElement("template");
  fresh.innerHTML = html; // escaped by dtk; the page's policy lets no script and no handler in it run
  const isOpen = new Set([...old.querySelectorAll("details[open][id]"), old].filter((e) => e.open).map((e) => e.id));
  for (const keep of fresh.content.querySelectorAll("[data-keep]")) {
    const kept = document.getElementById(keep.dataset.keep);
    if (kept) keep.replaceWith(kept);
  }
  for (const details of fresh.content.querySelectorAll("details[id]")) {
    if (closed.has(details.id)) details.open = false;
    else if (isOpen.has(details.id)) details.open = true;
  }
  old.replaceWith(fresh.content);
  if (focused) document.getElementById(focused)?.querySelector("summary")?.focus({ preventScroll: true });
}

// A link to a step opens it, and whatever it is folded into.
function reveal() {
  for (let e = document.getElementById(location.hash.slice(1)); e; e = e.parentElement) {
    if (e.tagName === "DETAILS") e.open = true;
  }
}
addEventListener("hashchange", reveal);

const source = new EventSource("events");
source.addEventListener("part", (event) => { const part = JSON.parse(event.data); put(part.place, part.html); });
source.addEventListener("title", (event) => {
  document.title = JSON.parse(event.data);
  if (!note.classList.contains("on")) say("Live: the page follows the task.", "on");
});
source.addEventListener("end", (event) => { source.close(); say(JSON.parse(event.data), "over"); });
source.addEventListener("error", () => say(
  `dtk watch does not answer: this is the task as it was at ${new Date().toISOString().slice(11, 19)} UTC.`, "lost"));

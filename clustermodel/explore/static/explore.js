// Sends the form to the model and puts the parts of its answer in their places.
"use strict";

const PAUSE_MS = 20; // a dragged slider speaks more often than anybody reads
const REST_MS = 250; // the slower parts follow when the sliders rest: one answer is computed at a time
const form = document.getElementById("state");
const busy = document.getElementById("busy");
let asking = new AbortController();
let waiting = 0;

/** Asks for a part of the answer; elements that it has for elsewhere replace those of the same id. */
async function show(part, place, signal) {
  const query = new URLSearchParams(new FormData(form));
  const reply = await fetch(`/${part}?${query}`, { signal });
  const answer = new DOMParser().parseFromString(await reply.text(), "text/html").body;
  for (const each of answer.querySelectorAll("[data-elsewhere]")) document.getElementById(each.id).replaceWith(each);
  document.getElementById(place).replaceChildren(...answer.childNodes);
  return reply.headers.get("Content-Location");
}

/** Asks anew, and drops what was asked before. */
async function update(parts) {
  asking.abort();
  const { signal } = (asking = new AbortController());
  busy.textContent = "computing";
  try {
    if (parts.price) {
      const state = await show("price", "answer", signal);
      if (state) history.replaceState(null, "", state);
      await new Promise((rested) => setTimeout(rested, REST_MS));
      signal.throwIfAborted();
    }
    await Promise.all(["curves", "matching"].map((part) => show(part, part, signal)));
    busy.textContent = "";
  } catch (error) {
    if (error.name !== "AbortError") busy.textContent = "no answer: does the program still run?";
  }
}

form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(update, PAUSE_MS, { price: true });
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  update({ price: true });
});
update({ price: false });

// Asks the model about the form and puts the parts of its answer in their places: the number at once, charts after it.
"use strict";

const REST_MS = 200; // charts follow when the sliders rest
const NUMBER = "price", CHARTS = ["money", "curves", "matching"];
const form = document.getElementById("state"), busy = document.getElementById("busy");
let following = false; // whether a number is on its way
let charts = new AbortController();

const place = (part) => document.getElementById(`part-${part}`);
const question = () => new URLSearchParams(new FormData(form)).toString();

/** Puts one part of the answer to a question in its place; returns the address of its state. */
async function show(part, asked, signal) {
  const reply = await fetch(`/${part}?${asked}`, { signal });
  const answer = new DOMParser().parseFromString(await reply.text(), "text/html").body;
  place(part).replaceChildren(...answer.childNodes);
  place(part).removeAttribute("aria-busy");
  return reply.headers.get("Content-Location");
}

/** Asks for the number until it is that of the form, one question at a time; then for the charts. */
async function follow() {
  charts.abort();
  for (const part of CHARTS) place(part).setAttribute("aria-busy", "true");
  if (following) return;
  following = true;
  busy.textContent = "computing";
  let asked, state;
  while (asked !== question()) state = await show(NUMBER, (asked = question()));
  following = false;
  await draw(CHARTS, state);
}

/** Charts of the form as it stands, one after the other, and the address and file of its state. */
async function draw(parts, state) {
  const { signal } = (charts = new AbortController());
  if (state) await new Promise((rested) => setTimeout(rested, REST_MS));
  signal.throwIfAborted();
  if (state) {
    history.replaceState(null, "", state);
    document.getElementById("download").href = state.replace("/", "/state.toml");
  }
  for (const part of parts) await show(part, question(), signal);
  busy.textContent = "";
}

/** Says what went wrong; a question that was dropped for a newer one is nothing. */
function tell(error) {
  if (error.name === "AbortError") return;
  following = false;
  busy.textContent = "no answer: does the program still run?";
}

form.addEventListener("input", ({ target }) => {
  const written = document.getElementById(`value-${target.id}`);
  if (written) written.textContent = target.value;
  follow().catch(tell);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  follow().catch(tell);
});
draw(CHARTS.slice(1)).catch(tell);

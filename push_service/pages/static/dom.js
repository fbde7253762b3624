/**
 * Building and showing the steps of a page.
 *
 * Everything that comes from outside is set as text or as an attribute; nothing is ever parsed as markup. A step is
 * shown by replacing the content of its section and moving the focus to its heading, so that keyboard and screen
 * reader arrive where the eye does; `announce` speaks without moving anything.
 */

import { millisecondsUntil } from "./api.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * `element("p", {class: "hint", onclick: f}, "text", child, null)`: functions become listeners, `true` a bare
 * attribute, false and null are left out.
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null && child !== false));
  return made;
}

/**
 * Foreign text with its own direction, set off from ours: a name can neither turn the sentence around nor pass for
 * part of it.
 */
export const named = (text) => element("strong", {}, element("bdi", {}, text));

export function button(label, onclick, { main = false, small = false } = {}) {
  const kinds = ["button", main && "button-main", small && "button-small"].filter(Boolean);
  return element("button", { type: "button", class: kinds.join(" "), onclick }, label);
}

export const heading = (text) => element("h1", { id: "step-heading", tabindex: "-1" }, text);

export function icon(name, tone) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon icon-${tone}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** Make these nodes the page's step. The heading names the document too, for whoever looks at the tab only. */
export function show(section, { centred = false, nodes }) {
  section.replaceChildren(...nodes.filter(Boolean));
  section.classList.toggle("center", centred);
  section.hidden = false;
  arriveAt(section);
}

export function arriveAt(section) {
  const title = section.querySelector("h1");
  document.title = title.textContent;
  title.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

/** Say something politely, even if the same was said before. */
export function announce(text) {
  const live = document.getElementById("live");
  live.textContent = "";
  setTimeout(() => { live.textContent = text; }, 150);
}

/** Tell of a connection that is gone, once, until it is back: the `trouble` of askSteadily. */
export function connectionNotice() {
  const notice = document.getElementById("connection");
  return (error) => {
    if (error === null) {
      if (notice.textContent) announce("Connected again.");
      notice.textContent = "";
    } else if (!notice.textContent) {
      notice.textContent = error.status
        ? "The service is busy right now. This page keeps trying; you don't have to do anything."
        : "No connection to the service. This page keeps trying; you don't have to do anything.";
    }
  };
}

/** 65 → "1:05" */
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

/**
 * Count whole seconds down to `endsAt` (milliseconds by the monotonic clock), calling `tick(seconds)` at once and
 * each second, 0 last. Returns a function that stops it.
 */
export function countDown(endsAt, tick) {
  let timer;
  const step = () => {
    const left = endsAt - performance.now();
    tick(Math.max(0, Math.ceil(left / 1000)));
    timer = left > 0 ? setTimeout(step, left % 1000 || 1000) : undefined;
  };
  step();
  return () => clearTimeout(timer);
}

/**
 * Time left as words and a bar; `over` is called when it is up. Ticks are silent for screen readers; half a minute and
 * ten seconds before the end are said.
 */
export function timeLeft(expiresAt, over = () => {}) {
  const words = element("span", { role: "timer" });
  const bar = element("progress", { "aria-hidden": "true" });
  // The service's clock is known to the second, and seems behind by up to one: rather promise too little time.
  const milliseconds = Math.max(0, millisecondsUntil(expiresAt) - 1000);
  bar.max = Math.max(1, Math.ceil(milliseconds / 1000));
  const stop = countDown(performance.now() + milliseconds, (seconds) => {
    words.textContent = seconds ? `${clock(seconds)} left` : "Time is up";
    bar.value = seconds;
    if ((seconds === 30 || seconds === 10) && bar.max > seconds) announce(`${seconds} seconds left.`);
    if (seconds === 0) setTimeout(over);
  });
  return { node: element("div", { class: "time-left" }, words, bar), stop };
}

/** A button that copies `text` and says so. Without a clipboard the text beside it is selected for copying by hand. */
export function copyButton(label, text, source) {
  const copy = button(label, async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
      announce("Copied.");
      setTimeout(() => { copy.textContent = label; }, 2500);
    } catch {
      getSelection().selectAllChildren(source);
      announce("Select and copy the code by hand.");
    }
  }, { small: true });
  return copy;
}

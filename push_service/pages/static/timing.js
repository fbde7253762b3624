/**
 * What passes with time: how long is left, and buttons that have to wait.
 */

import { millisecondsUntil } from "./api.js";
import { announce, button, element } from "./dom.js";
import { text } from "./words.js";

/** 65 → "1:05", 3665 → "1:01:05" */
export function clock(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

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
    words.textContent = seconds ? text("frame.time_left", { time: clock(seconds) }) : text("frame.time_up");
    bar.value = seconds;
    if ((seconds === 30 || seconds === 10) && bar.max > seconds) announce(text("frame.seconds_left", { seconds }));
    if (seconds === 0) setTimeout(over);
  });
  return { node: element("div", { class: "time-left" }, words, bar), stop };
}

/** What waits can be pressed, and is not: it keeps the focus, and says in its label how long it still waits. */
export function holdOff(waiting, seconds, labelled, over) {
  waiting.setAttribute("aria-disabled", "true");
  return countDown(performance.now() + seconds * 1000, (left) => {
    if (left) waiting.textContent = labelled(clock(left));
    else over();
  });
}

export const waits = (control) => control.getAttribute("aria-disabled") === "true";

/**
 * A button that asks once more. `send` resolves with the Problem that it was refused with, if it was; then the button
 * waits as long as the service wants. Returns `{node, stop}`.
 */
export function againButton(label, send) {
  let stop = () => {};
  const node = button(label, async () => {
    if (waits(node)) return;
    const refusal = await send();
    if (!refusal?.retryAfter) return;
    stop = holdOff(node, refusal.retryAfter, (time) => text("again.wait", { label, time }), () => {
      node.removeAttribute("aria-disabled");
      node.textContent = label;
    });
  }, { small: true });
  return { node, stop: () => stop() };
}

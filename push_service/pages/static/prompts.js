/**
 * What each kind of prompt asks of the person, and how it travels: one function a kind.
 *
 * Each takes the challenge and the page's `actions` and returns `{heading, nodes, said, focus, channel, stop}`: what to
 * show, a sentence for screen readers, the field to go to, the words for its delivery (none: it doesn't travel). A new
 * method that asks something else adds its kind here.
 */

import { element, named } from "./dom.js";
import { codeForm } from "./forms.js";
import { firstKnown, phrase, text } from "./words.js";

export const promptOf = (challenge, actions) => (PROMPTS[challenge.prompt.kind] ?? unknown)(challenge, actions);

const PROMPTS = { approve_on_device: approve, enter_code: enterCode, answer_call: answerCall };

function approve({ prompt: { number }, target }) {
  const key = number ? "approve.type_number" : "approve.tap";
  const phone = target || text("approve.your_phone");
  return {
    heading: text("approve.heading"),
    nodes: [
      element("p", { class: "lead" }, ...phrase(key, { target: target ? named(target) : phone })),
      number && largeNumber(number),
    ],
    said: text(`${key}_said`, { target: phone, number: number && digitByDigit(number) }),
    channel: "push",
  };
}

/** A code that came by text, stands in an app, on a list of recovery codes, or was given by the administrator. */
function enterCode({ method, prompt: { digits }, target }, actions) {
  const say = (what) => firstKnown(`code.${method}.${what}`, `code.other.${what}`);
  const form = codeForm({ digits, hint: text(say("hint")), send: actions.type });
  return {
    heading: text(say("heading")),
    nodes: [element("p", { class: "lead" }, ...phrase(say("lead"), { target: named(target) })), form.node],
    said: text(say("lead"), { target }),
    focus: form.input,
    channel: method === "text_mobile" ? "text" : null,
    stop: form.stop,
  };
}

/** A call to answer, by # alone or by a number that only this page shows: then it is this sign-in that is confirmed. */
function answerCall({ prompt: { number }, target }) {
  const key = number ? "call.key_number" : "call.press";
  return {
    heading: text("call.heading"),
    nodes: [
      element("p", { class: "lead" }, ...phrase(key, { target: named(target) })),
      number && largeNumber(number),
      element("p", { class: "hint" }, text("call.hint")),
    ],
    said: text(`${key}_said`, { target, number: number && digitByDigit(number) }),
    channel: "call",
  };
}

const unknown = () => ({
  heading: text("unknown_prompt.heading"),
  nodes: [element("p", { class: "lead" }, text("unknown_prompt.lead"))],
  said: "",
  channel: null,
});

/** Readable across a desk, and read out digit by digit. */
export const largeNumber = (number) =>
  element("p", { class: `number${number.length > 4 ? " number-long" : ""}` },
    element("span", { "aria-hidden": "true" }, number),
    element("span", { class: "visually-hidden" }, digitByDigit(number)));

const digitByDigit = (number) => [...number].join(" ");

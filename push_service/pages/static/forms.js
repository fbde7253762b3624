/**
 * Fields and forms, and the one way in which they refuse: a sentence above them that is read out, the field that it is
 * about marked and focused. Nothing typed is lost; what passes with time is counted down on the button.
 */

import { ConnectionLost, Problem } from "./api.js";
import { element } from "./dom.js";
import { holdOff, waits } from "./timing.js";
import { counted, problem, text } from "./words.js";

/** Why a form was not sent, or came back: `input` is the field to go to. */
export class Refusal extends Error {
  constructor(said, input) {
    super(said);
    this.input = input;
  }
}

/** A labelled field; `hint` is read out with it. */
export function field(name, label, { hint, ...attributes } = {}) {
  return element("div", { class: "field" },
    element("label", { for: name }, label),
    hint && element("p", { id: `${name}-hint`, class: "hint" }, hint),
    element("input", {
      id: name, name, type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false",
      "aria-describedby": hint && `${name}-hint`, ...attributes,
    }));
}

/**
 * A form around `nodes`. `send(elements)` resolves when all is done; a `Refusal` or `Problem` that it rejects with is
 * said here. Returns `{node, stop}`.
 */
export function form({ nodes, submit, submitting, send }) {
  const message = element("p", { id: "form-message", class: "notice", role: "alert" });
  const press = element("button", { type: "submit", class: "button button-main" }, submit);
  const node = element("form", { novalidate: true }, message, ...nodes, press);
  let stop = () => {};

  const say = (said, tone) => {
    message.className = tone ? `notice notice-${tone}` : "notice";
    message.textContent = said;
  };
  const ready = () => {
    press.removeAttribute("aria-disabled");
    press.textContent = submit;
  };
  const refused = (error) => {
    ready();
    if (error instanceof Refusal) {
      say(error.message, "bad");
      error.input.setAttribute("aria-invalid", "true");
      error.input.focus();
      error.input.select();
    } else if (error instanceof ConnectionLost) say(text("frame.no_connection_again"), "warn");
    else if (error instanceof Problem) {
      say(problem(error), error.passing ? "warn" : "bad");
      if (!error.retryAfter) return;
      stop = holdOff(press, error.retryAfter, (time) => text("frame.try_again_in", { time }), () => {
        ready();
        say(text("frame.can_try_again"));
      });
    } else throw error;
  };

  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (waits(press)) return;
    for (const input of node.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    say("");
    press.setAttribute("aria-disabled", "true");
    press.textContent = submitting;
    try {
      await send(node.elements);
      ready();
    } catch (error) {
      refused(error);
    }
  });
  return { node, stop: () => stop() };
}

/**
 * The form for a code. `digits` are checked before anything is sent, so that a slip costs no try; without them a code
 * may have letters. `send(code)` may reject with the Problem `wrong_code`. Returns `{node, input, stop}`.
 */
export function codeForm({ digits = null, label = text("code.label"), hint, submit = text("code.submit"), send }) {
  const row = field("code", label, {
    hint, class: "code-field", autocomplete: "one-time-code", inputmode: digits ? "numeric" : "text",
  });
  const input = row.querySelector("input");
  const made = form({
    nodes: [row],
    submit,
    submitting: text("code.submitting"),
    send: async () => {
      const typed = input.value.replace(/[\s-]/g, "");
      if (!typed) throw new Refusal(text("code.empty"), input);
      if (digits && !(/^\d+$/.test(typed) && typed.length === digits)) {
        throw new Refusal(counted("code.shape", digits), input);
      }
      try {
        await send(typed);
      } catch (error) {
        if (error.code === "wrong_code") throw new Refusal(wrong(error), input);
        throw error;
      }
    },
  });
  return { ...made, input };
}

const wrong = ({ triesLeft }) => triesLeft ? counted("code.tries_left", triesLeft) : text("code.wrong");

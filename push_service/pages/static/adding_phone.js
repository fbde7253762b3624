/**
 * Adding a phone: its number, then the proof that it is the person's own: a code by text, or # pressed in a call.
 *
 * The number that an administrator noted for the person can be used without typing it again; this page sees it masked.
 */

import { through } from "./access.js";
import { ConnectionLost, Problem, ask, askSteadily, pause } from "./api.js";
import { alert, announce, button, element, heading, named, unbroken } from "./dom.js";
import { Refusal, codeForm, field, form } from "./forms.js";
import { largeNumber } from "./prompts.js";
import { againButton, timeLeft } from "./timing.js";
import { phrase, problem, text } from "./words.js";

/** Seconds between questions whether # was pressed. */
const ASK_EVERY = 2;

/** `kind` is mobile or office; the page is as in adding.js. */
export function addPhone(kind, { access, show, done, back }) {
  let gone = false;
  let leave = () => {};
  const stop = () => { gone = true; leave(); };
  let typed = { number: "", extension: "", by: "text" };

  const goBack = () => { stop(); back(); };
  const post = (path, options = {}) => through(access, ({ token }) => ask("POST", path, { ...options, token }));
  const askFor = (body) => post("/v1/me/phones", { body, key: crypto.randomUUID() });

  const begin = async () => {
    show({ nodes: [heading(text(`ways.${kind}.heading`)), element("p", { class: "doing" }, text("phone.submitting"))] });
    const me = await through(access, (by) => askSteadily("GET", "/v1/me", by));
    if (!gone) askNumber(me.suggested?.[kind]);
  };

  const askNumber = (suggested, complaint) => {
    leave();
    const asked = numberForm(kind, suggested, typed, async (given) => {
      typed = given;
      const body = bodyOf(kind, given);
      const enrolment = await askFor(body);
      if (!gone) prove(enrolment, body, suggested);
    });
    leave = asked.stop;
    show({
      nodes: [
        heading(text(`ways.${kind}.heading`)), complaint && alert("warn", complaint), asked.node,
        element("div", { class: "actions" }, button(text("frame.back"), goBack)),
      ],
      focus: suggested ? null : asked.focus,
    });
  };

  /** The number is known to the service; now it is to answer. */
  const prove = (enrolment, body, suggested) => {
    leave();
    const over = (said = text("phone.over")) => askNumber(suggested, said);
    const time = timeLeft(enrolment.expires_at, over);
    const path = `/v1/me/phones/${encodeURIComponent(enrolment.id)}/confirm`;
    const confirm = async (code) => {
      try {
        await post(path, { body: code ? { code } : {} });
      } catch (error) {
        if (!(error instanceof Problem) || error.passing || !OVER.has(error.code)) throw error;
        return over(problem(error));
      }
      if (gone) return undefined;
      stop();
      return done();
    };
    const proof = enrolment.prompt.kind === "enter_code" ? typedCode(enrolment, confirm) : answeredCall(enrolment, confirm);
    const again = askAgain(proof.again, async () => {
      const enrolled = await askFor(body);
      if (!gone) prove(enrolled, body, suggested);
    });
    leave = () => { time.stop(); again.stop(); proof.stop(); };
    show({
      nodes: [
        ...proof.nodes, time.node, again.node,
        element("div", { class: "actions" },
          button(text("phone.change"), () => askNumber(suggested)), button(text("frame.back"), goBack)),
      ],
      focus: proof.focus,
    });
    announce(proof.said);
  };

  begin();
  return { stop };
}

/** Refusals after which this enrolment can't be confirmed any more: the number has to be given again. */
const OVER = new Set(["unknown_enrolment", "not_delivered"]);

const bodyOf = (kind, { own, number, extension, by }) => ({
  kind,
  ...(!own && { number }),
  ...(!own && kind === "office" && extension && { extension }),
  ...(kind === "mobile" && { by }),
});

/** `typed` is what stood in it before. `send` gets `{own, number, extension, by}`; own: the number on file. */
function numberForm(kind, suggested, typed, send) {
  const number = field("number", text("phone.number"), {
    type: "tel", autocomplete: kind === "office" ? "work tel" : "mobile tel", hint: text("phone.number_hint"),
    value: typed.number,
  });
  const extension = kind === "office" && field("extension", text("phone.extension"), {
    inputmode: "numeric", autocomplete: "tel-extension", hint: text("phone.extension_hint"), value: typed.extension,
  });
  const own = element("div", { class: "stack-form", hidden: Boolean(suggested) }, number, extension);
  const chosen = suggested && options("which", text("phone.number"), [
    ["own", phrase("phone.suggested", { target: element("bdi", {}, unbroken(suggested)) })],
    ["another", [text("phone.another")]],
  ], "own", (value) => { own.hidden = value === "own"; });
  const by = kind === "mobile" && options("by", text("phone.by"), [
    ["text", [text("phone.by_text")]], ["call", [text("phone.by_call")]],
  ], typed.by);
  const input = number.querySelector("input");
  const made = form({
    nodes: [chosen, own, by].filter(Boolean),
    submit: text(kind === "office" ? "phone.submit_call" : "phone.submit"),
    submitting: text("phone.submitting"),
    send: async (elements) => {
      const given = {
        own: elements.which?.value === "own",
        number: input.value.trim(),
        extension: elements.extension?.value.trim() ?? "",
        by: elements.by?.value ?? "call",
      };
      if (!given.own && !given.number) throw new Refusal(text("phone.missing"), input);
      try {
        await send(given);
      } catch (error) {
        throw error.code === "invalid_request" ? new Refusal(text("phone.unusable"), input) : error;
      }
    },
  });
  return { ...made, focus: input };
}

/** A choice of one, as radio buttons under their question. */
function options(name, question, choices, checked, chosen = () => {}) {
  return element("fieldset", { class: "options", onchange: (event) => chosen(event.target.value) },
    element("legend", {}, question),
    ...choices.map(([value, label]) => element("label", { class: "option" },
      element("input", { type: "radio", name, value, checked: value === checked }), element("span", {}, ...label))));
}

function typedCode({ target, prompt: { digits } }, confirm) {
  const code = codeForm({ digits, hint: text("code.text_mobile.hint"), send: confirm });
  return {
    nodes: [
      heading(text("phone.code_heading")),
      element("p", { class: "lead" }, ...phrase("phone.code_lead", { target: named(target) })),
      code.node,
    ],
    said: text("phone.code_lead", { target }),
    focus: code.input,
    again: "delivery.text.again",
    stop: code.stop,
  };
}

/** The page asks again and again: keys pressed on a phone are heard by the service alone. */
function answeredCall({ target, prompt: { number } }, confirm) {
  const ended = new AbortController();
  const { signal } = ended;
  const watch = async () => {
    while (!signal.aborted) {
      await pause(ASK_EVERY, signal);
      try {
        return await confirm();
      } catch (error) {
        if (error instanceof Problem && error.code !== "not_confirmed" && !error.passing) throw error;
      }
    }
    return undefined;
  };
  const key = number ? "phone.call_number" : "phone.call_lead";
  const trouble = element("div");
  watch().catch((error) => {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) throw error;
    trouble.replaceChildren(alert("bad", problem(error)));
  });
  return {
    nodes: [
      heading(text("phone.call_heading")),
      element("p", { class: "lead" }, ...phrase(key, { target: named(target) })),
      number && largeNumber(number),
      element("p", { class: "doing" }, text("phone.call_waiting")),
      trouble,
    ],
    said: text("phone.call_said", { target }),
    again: "delivery.call.again",
    stop: () => ended.abort(new DOMException("left the step", "AbortError")),
  };
}

/** The button that asks once more, and what it was refused for. */
function askAgain(key, send) {
  const refused = element("div");
  const again = againButton(text(key), async () => {
    refused.replaceChildren();
    try {
      await send();
    } catch (error) {
      refused.replaceChildren(alert("warn", whyNot(error)));
      return error;
    }
    return null;
  });
  return { node: element("div", { class: "stack" }, refused, again.node), stop: again.stop };
}

function whyNot(error) {
  if (error instanceof ConnectionLost) return text("frame.no_connection_again");
  if (!(error instanceof Problem)) throw error;
  return error.status === 429 ? text("again.too_soon") : problem(error);
}

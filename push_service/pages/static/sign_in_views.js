/**
 * The steps of the sign-in page after the password, one function each.
 *
 * A view takes the sign-in as the interface gave it and the page's `actions`, and returns `{nodes, centred, said,
 * focus}`: what to show, a sentence for screen readers, and the field to go to if not to the heading. While `stepOf`
 * stays the same a newer version is still the same step; then `update`, if the view has one, changes what it must and
 * leaves focus and opened lists alone. `stop` ends timers.
 */

import { button, element, heading, icon, named, unbroken } from "./dom.js";
import { promptOf } from "./prompts.js";
import { proofUp } from "./proof_up.js";
import { againButton, timeLeft } from "./timing.js";
import { counted, firstKnown, known, phrase, text } from "./words.js";

/** Which step a sign-in is at: a new question is a new step, its delivery is not. */
export function stepOf(signIn) {
  const { id, state, notice, challenge } = signIn;
  return JSON.stringify([id, state, ...(state === "pending" ? [notice, challenge?.id, challenge?.state] : [])]);
}

/** The view for a sign-in, whatever its state. */
export function viewOf(signIn, actions) {
  switch (signIn.state) {
    case "registration_required": return registering(signIn, actions);
    case "pending": return signIn.challenge?.state === "pending" ? waiting(signIn, actions) : choosing(signIn, actions);
    case "approved": return approved(signIn, actions);
    default: return ended(signIn, actions);
  }
}

/** Before anything is known: a reloaded tab is asking for its sign-in. */
export const pickingUp = () => ({
  nodes: [heading(text("picking_up.heading")), element("p", { class: "doing" }, text("picking_up.doing"))],
  said: "",
});

/** A question is out: what it asks, how it travels, the time left, and the other ways. */
function waiting(signIn, actions) {
  const { challenge } = signIn;
  const prompt = promptOf(challenge, actions);
  const progress = prompt.channel && deliveryLine(challenge, prompt.channel, actions);
  const time = timeLeft(challenge.expires_at);
  return {
    nodes: [
      heading(prompt.heading), ...prompt.nodes, rememberBox(signIn, actions), progress && progress.node, time.node,
      element("div", { class: "actions" }, button(text("frame.cancel"), actions.cancel)),
      otherWays(signIn, actions),
    ],
    said: prompt.said,
    focus: prompt.focus,
    update: (newer) => progress && progress.update(newer.challenge),
    stop: () => {
      time.stop();
      progress?.stop();
      prompt.stop?.();
    },
  };
}

/** Where the service offers it, the person may have this browser remembered. The tick outlasts a change of method. */
function rememberBox({ remember_days: days }, { remembering }) {
  return days > 0 && element("label", { class: "option" },
    element("input", {
      type: "checkbox", checked: remembering.wanted, onchange: ({ target }) => { remembering.wanted = target.checked; },
    }),
    element("span", {}, counted("remember.label", days)));
}

/** No question is out at the moment: say why, and offer what there is. */
function choosing(signIn, actions) {
  const time = timeLeft(signIn.expires_at);
  const why = whyNone(signIn);
  const failed = signIn.notice || signIn.challenge;
  return {
    nodes: [
      heading(text("choosing.heading")),
      element("p", { class: failed ? "notice notice-warn" : "lead" }, why),
      signIn.methods.length ? methodList(signIn, actions) : element("p", {}, text("choosing.nothing")),
      time.node,
      element("div", { class: "actions" }, button(text("frame.cancel"), actions.cancel)),
    ],
    said: why,
    stop: time.stop,
  };
}

function whyNone({ notice, challenge }) {
  const reasons = [notice, challenge?.code, challenge?.reason].filter(Boolean).map((reason) => `choosing.${reason}`);
  return text(firstKnown(...reasons, "choosing.other"));
}

/** The person has nothing registered yet: add a way right here; the sign-in goes on by itself when it is added. */
function registering(signIn, actions) {
  const { token } = signIn.registration ?? {};
  const home = (nodes) => [
    heading(text("proof_up.heading")),
    element("p", { class: "lead" }, text("proof_up.lead")),
    ...nodes,
    element("div", { class: "actions" }, button(text("frame.cancel"), actions.cancel)),
  ];
  const access = { token, trouble: actions.trouble, closed: actions.lost };
  const step = proofUp({ access, home, show: actions.show });
  if (!token) setTimeout(actions.lost); // not before the page around it stands
  return { nodes: step.nodes, said: text("proof_up.said"), stop: step.stop };
}

/**
 * Done. With an address to return to the result is handed over at once; the button is there in case that does not
 * happen.
 */
function approved(signIn, actions) {
  if (actions.redirectUri && !signIn.result) return tooOld(actions);
  const nodes = [icon("done", "good"), heading(text("approved.heading"))];
  if (actions.redirectUri) {
    nodes.push(
      element("p", { class: "lead" }, ...phrase("approved.go_on", { application: named(actions.applicationName) })),
      element("form", { id: "hand-over", method: "post", action: actions.redirectUri },
        element("input", { type: "hidden", name: "result", value: signIn.result }),
        element("input", { type: "hidden", name: "state", value: actions.requestState }),
        element("button", { type: "submit", class: "button button-main" }, text("approved.submit"))),
    );
  } else {
    nodes.push(
      element("p", { class: "lead" }, text("approved.close")),
      actions.opens && element("a", { class: "button", href: actions.opens }, text("approved.settings")),
    );
  }
  return { centred: true, nodes, said: text("approved.said") };
}

/** Approved, but its result has run out before the application got it. */
const tooOld = (actions) => ({
  centred: true,
  nodes: [
    icon("time", "warn"),
    heading(text("too_old.heading")),
    element("p", { class: "lead" }, ...phrase("too_old.lead", { application: named(actions.applicationName) })),
    button(text("too_old.again"), actions.again, { main: true }),
  ],
  said: text("too_old.said"),
});

/** Denied, failed, expired or withdrawn. */
function ended({ state, reason }, actions) {
  const key = known(`endings.${state}-${reason}`) ? `endings.${state}-${reason}` : `endings.${state}`;
  const [sign, tone] = SIGNS[key] ?? SIGNS[`endings.${state}`];
  return {
    centred: true,
    nodes: [
      icon(sign, tone), heading(text(`${key}.heading`)), element("p", { class: "lead" }, text(`${key}.text`)),
      button(text(`${key}.again`), actions.again, { main: true }),
    ],
    said: text(`${key}.text`),
  };
}

/** The sign over an ending, and its tone. The words say the same. */
const SIGNS = {
  "endings.denied": ["stop", "bad"],
  "endings.failed": ["stop", "bad"],
  "endings.failed-no_method": ["warn", "warn"],
  "endings.expired": ["time", "warn"],
  "endings.withdrawn": ["warn", "warn"],
};

/**
 * How the question travels, in words, and the button that asks once more: always there for a text or a call, which
 * may be lost anywhere; for the app only when it got stuck.
 */
function deliveryLine(challenge, channel, actions) {
  const line = element("p", { class: "doing" });
  const again = againButton(text(`delivery.${channel}.again`), () => actions.choose(challenge.method_id));
  const update = ({ delivery, target }) => {
    const stuck = delivery === "failed" || delivery === "unknown";
    const key = firstKnown(`delivery.${channel}.${delivery}`, `delivery.${channel}.unknown`);
    line.textContent = text(key, { target: target || text("approve.your_phone") });
    line.classList.toggle("doing-stuck", stuck);
    again.node.hidden = channel === "push" && !stuck;
    if (stuck) actions.announce(line.textContent);
  };
  update(challenge);
  return { node: element("div", { class: "stack" }, line, again.node), update, stop: again.stop };
}

function otherWays(signIn, actions) {
  return signIn.methods.length > 0 && element("details", { class: "disclosure" },
    element("summary", {}, text("other_ways.summary")), methodList(signIn, actions));
}

function methodList(signIn, actions) {
  return element("ul", { class: "choices" }, ...signIn.methods.map((method) => element("li", {},
    element("button", { type: "button", class: "button choice", onclick: () => actions.choose(method.id) },
      element("span", {}, method.label), method.target && element("small", {}, element("bdi", {}, unbroken(method.target)))))));
}

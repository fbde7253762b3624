/**
 * The steps of the sign-in page after the password, one function each.
 *
 * A view takes the sign-in as the interface gave it and the page's `actions`, and returns `{nodes, centred, said}`:
 * what to show, and a sentence for screen readers. While `stepOf` stays the same a newer version is still the same
 * step; then `update`, if the view has one, changes what it must and leaves focus and opened lists alone. `stop` ends
 * timers.
 */

import { activation } from "./activation.js";
import { button, element, heading, icon, named, timeLeft } from "./dom.js";
import { delivery, ending, noChallenge } from "./wording.js";

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
  nodes: [heading("One moment"), element("p", { class: "doing" }, "Picking up your sign-in…")],
  said: "",
});

/** A prompt is on the phone: show the number, where it goes and how it travels, the time left, and the other ways. */
function waiting(signIn, actions) {
  const { challenge } = signIn;
  const kind = PROMPTS[challenge.prompt.kind] ?? PROMPTS.unknown;
  const prompt = kind(challenge);
  const progress = deliveryLine(challenge, actions);
  const time = timeLeft(challenge.expires_at);
  return {
    nodes: [
      heading(prompt.heading), ...prompt.nodes, progress.node, time.node,
      element("div", { class: "actions" }, button("Cancel", actions.cancel)),
      otherWays(signIn, actions),
    ],
    said: prompt.said,
    update: (newer) => progress.update(newer.challenge),
    stop: time.stop,
  };
}

/** What each kind of prompt asks of the person. A new method that asks something else adds its kind here. */
const PROMPTS = {
  approve_on_device: ({ prompt: { number }, target }) => number ? {
    heading: "Approve on your phone",
    nodes: [
      element("p", { class: "lead" }, "Open the app on ", target ? named(target) : "your phone",
        ", check that it shows this sign-in, and type this number there:"),
      element("p", { class: `number${number.length > 4 ? " number-long" : ""}` },
        element("span", { "aria-hidden": "true" }, number),
        element("span", { class: "visually-hidden" }, digitByDigit(number))),
    ],
    said: `Type ${digitByDigit(number)} in the app on ${target ?? "your phone"}.`,
  } : {
    heading: "Approve on your phone",
    nodes: [element("p", { class: "lead" }, "Open the app on ", target ? named(target) : "your phone",
      ", check that it shows this sign-in, and press Verify.")],
    said: `Open the app on ${target ?? "your phone"} and press Verify.`,
  },
  unknown: () => ({
    heading: "Verify that it is you",
    nodes: [element("p", { class: "lead" }, "This page can't show this kind of question. Choose another, or cancel.")],
    said: "",
  }),
};

/** No prompt is out at the moment: say why, and offer what there is. */
function choosing(signIn, actions) {
  const time = timeLeft(signIn.expires_at);
  const why = noChallenge(signIn);
  return {
    nodes: [
      heading("Choose another way to verify"),
      element("p", { class: signIn.notice ? "notice notice-warn" : "lead" }, why),
      signIn.methods.length ? methodList(signIn, actions)
        : element("p", {}, "There is no other way to verify at the moment. Cancel, and try again later."),
      time.node,
      element("div", { class: "actions" }, button("Cancel", actions.cancel)),
    ],
    said: why,
    stop: time.stop,
  };
}

/** The person has nothing registered yet: add a phone right here; the sign-in goes on by itself when it is added. */
function registering(signIn, actions) {
  const step = activation({ token: signIn.registration?.token, trouble: actions.trouble, over: actions.lost });
  return {
    nodes: [
      heading("Additional security verification"),
      element("p", { class: "lead" },
        "Your account needs a second step to sign in. Add your phone once; this sign-in then goes on by itself."),
      step.node,
      element("div", { class: "actions" }, button("Cancel", actions.cancel)),
    ],
    said: "Add your phone to go on.",
    stop: step.stop,
  };
}

/**
 * Done. With an address to return to the result is handed over at once; the button is there in case that does not
 * happen.
 */
function approved(signIn, actions) {
  if (actions.redirectUri && !signIn.result) return tooOld(actions);
  const nodes = [icon("done", "good"), heading("You are signed in")];
  if (!actions.redirectUri) nodes.push(element("p", { class: "lead" }, "You can close this page now."));
  else {
    nodes.push(
      element("p", { class: "lead" }, "You can go on to ", named(actions.applicationName), " now."),
      element("form", { id: "hand-over", method: "post", action: actions.redirectUri },
        element("input", { type: "hidden", name: "result", value: signIn.result }),
        element("input", { type: "hidden", name: "state", value: actions.requestState }),
        element("button", { type: "submit", class: "button button-main" }, "Continue")),
    );
  }
  return { centred: true, nodes, said: "You are signed in." };
}

/** Approved, but its result has run out before the application got it. */
const tooOld = (actions) => ({
  centred: true,
  nodes: [
    icon("time", "warn"),
    heading("That took too long"),
    element("p", { class: "lead" }, "The sign-in was approved, but too long ago to be used at ",
      named(actions.applicationName), " now. Sign in again to go on."),
    button("Sign in again", actions.again, { main: true }),
  ],
  said: "The sign-in is too old to be used. Sign in again.",
});

/** Denied, failed, expired or withdrawn. */
function ended(signIn, actions) {
  const { tone, icon: sign, heading: title, text, again } = ending(signIn);
  return {
    centred: true,
    nodes: [
      icon(sign, tone), heading(title), element("p", { class: "lead" }, text),
      button(again, actions.again, { main: true }),
    ],
    said: text,
  };
}

function deliveryLine(challenge, actions) {
  const line = element("p", { class: "doing" });
  const again = button("Send it again", () => actions.choose(challenge.method_id), { small: true });
  const update = ({ delivery: state, target }) => {
    const { stuck, text } = delivery(state, target ?? "your phone");
    line.textContent = text;
    line.classList.toggle("doing-stuck", stuck);
    again.hidden = !stuck;
    if (stuck) actions.announce(text);
  };
  update(challenge);
  return { node: element("div", { class: "stack" }, line, again), update };
}

function otherWays(signIn, actions) {
  return signIn.methods.length > 0 && element("details", { class: "disclosure" },
    element("summary", {}, "Other verification options"), methodList(signIn, actions));
}

function methodList(signIn, actions) {
  return element("ul", { class: "choices" }, ...signIn.methods.map((method) => element("li", {},
    element("button", { type: "button", class: "button choice", onclick: () => actions.choose(method.id) },
      element("span", {}, method.label), method.target && element("small", {}, element("bdi", {}, method.target))))));
}

const digitByDigit = (number) => [...number].join(" ");

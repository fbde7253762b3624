/**
 * The step that adds a phone: a QR code to scan, the same as text, and what to do with it.
 *
 * Used inside a sign-in (proof-up) and on the registration page, with the registration token of that sign-in. A code is
 * short-lived and works once; when its time is over the step offers a new one. The step does not know when the phone
 * was added: the page around it watches the sign-in, or the account.
 */

import { Problem, askSteadily } from "./api.js";
import { button, copyButton, element, timeLeft } from "./dom.js";
import { problem } from "./wording.js";

/** `over` is called when the token opens nothing (any more). Returns `{node, stop}`. */
export function activation({ token, trouble, over }) {
  const node = element("div", { class: "activation" });
  const ended = new AbortController();
  let stopClock = () => {};

  const fetchCode = async () => {
    stopClock();
    if (!token) return void setTimeout(over); // not before the page around it stands
    node.replaceChildren(element("p", { class: "doing" }, "Getting a code for your phone…"));
    try {
      // A new code voids the one before it: the key keeps a repeated request from doing that to its own first answer.
      const key = crypto.randomUUID();
      const made = await askSteadily("POST", "/v1/me/devices", { token, key, trouble, signal: ended.signal });
      const { nodes, stop } = codeToScan(made, fetchCode);
      stopClock = stop;
      node.replaceChildren(...nodes);
    } catch (error) {
      if (ended.signal.aborted) return undefined;
      if (!(error instanceof Problem)) throw error;
      if (error.status === 401 || error.status === 403) return over();
      node.replaceChildren(notice("bad", problem(error)), button("Try again", fetchCode));
    }
    return undefined;
  };

  fetchCode();
  return { node, stop: () => { ended.abort(new DOMException("left the step", "AbortError")); stopClock(); } };
}

const notice = (tone, text) => element("p", { class: `notice notice-${tone}`, role: "alert" }, text);

function codeToScan({ code, uri, expires_at: expiresAt, qr_svg: svg }, renew) {
  const picture = element("img", { src: pictureOf(svg), alt: "QR code with the activation code below" });
  const qr = element("div", { class: "qr" }, picture);
  const text = element("span", { class: "code" }, code);
  const time = timeLeft(expiresAt, () => {
    qr.classList.add("qr-over");
    by.replaceWith(notice("warn", "This code has run out."), button("Get a new code", renew, { main: true }));
  });
  const by = element("details", { class: "disclosure" },
    element("summary", {}, "Can't scan it?"),
    element("p", { class: "hint" }, "Type or paste this activation code in the app:"),
    text,
    element("div", { class: "actions" },
      copyButton("Copy the code", code, text), copyButton("Copy as a link", uri, text)));
  return {
    nodes: [
      element("ol", { class: "steps" },
        element("li", {}, "Open the app on your phone."),
        element("li", {}, "Choose to add an account, and scan this code.")),
      qr, by, time.node,
    ],
    stop: time.stop,
  };
}

/** As an image an SVG can run nothing and load nothing. It needs the namespace there that it may lack inside a page. */
function pictureOf(svg) {
  const whole = svg.includes("xmlns=") ? svg : svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"');
  return `data:image/svg+xml,${encodeURIComponent(whole)}`;
}

/**
 * Adding the app on a phone: a QR code to scan, the same as text, and what to do with it.
 *
 * A code is short-lived and works once; when its time is over the step offers a new one. The step does not know when
 * the phone was added: the page around it watches the sign-in, or the account.
 */

import { through } from "./access.js";
import { Problem, askSteadily } from "./api.js";
import { alert, button, element } from "./dom.js";
import { insteadOfScanning, qrCode } from "./scanning.js";
import { timeLeft } from "./timing.js";
import { problem, text } from "./words.js";

/** Returns `{node, stop}`. */
export function activation({ access }) {
  const node = element("div", { class: "activation" });
  const ended = new AbortController();
  let stopClock = () => {};

  const fetchCode = async () => {
    stopClock();
    node.replaceChildren(element("p", { class: "doing" }, text("activation.doing")));
    try {
      // A new code voids the one before it: the key keeps a repeated request from doing that to its own first answer.
      const key = crypto.randomUUID();
      const made = await through(access, (by) => askSteadily("POST", "/v1/me/devices", { ...by, key, signal: ended.signal }));
      const { nodes, stop } = codeToScan(made, fetchCode);
      stopClock = stop;
      node.replaceChildren(...nodes);
    } catch (error) {
      if (ended.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      node.replaceChildren(alert("bad", problem(error)), button(text("frame.try_again"), fetchCode));
    }
  };

  fetchCode();
  return { node, stop: () => { ended.abort(new DOMException("left the step", "AbortError")); stopClock(); } };
}

function codeToScan({ code, uri, expires_at: expiresAt, qr_svg: svg }, renew) {
  const qr = qrCode(svg, text("activation.picture"));
  const time = timeLeft(expiresAt, () => {
    qr.classList.add("qr-over");
    by.replaceWith(alert("warn", text("activation.run_out")), button(text("activation.renew"), renew, { main: true }));
  });
  const by = insteadOfScanning({
    summary: text("activation.cannot_scan"),
    hint: text("activation.type_it"),
    shown: code,
    copies: [[text("activation.copy_code"), code], [text("activation.copy_link"), uri]],
  });
  const steps = element("ol", { class: "steps" },
    element("li", {}, text("activation.open_app")), element("li", {}, text("activation.scan")));
  return { nodes: [steps, qr, by, time.node], stop: time.stop };
}

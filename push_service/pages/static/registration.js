/**
 * Adding a phone from a link that another sign-in page gave.
 *
 * The registration token stands in the address's fragment, which browsers send to nobody; it is taken out of the
 * address bar before anything else. The page then tries the token from time to time: it dies with the sign-in's need
 * for it, mostly because the phone was added, but also when the sign-in ended. The page can't tell one from the other.
 */

import { Problem, askSteadily, pause } from "./api.js";
import { activation } from "./activation.js";
import { connectionNotice, element, heading, icon, show } from "./dom.js";

/** Seconds between tries of the token. */
const LOOK_EVERY = 3;

const step = document.getElementById("step");
const trouble = connectionNotice();
const token = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname + location.search);

function outcome(sign, tone, title, text) {
  show(step, { centred: true, nodes: [icon(sign, tone), heading(title), element("p", { class: "lead" }, text)] });
}

const noLink = () => outcome("warn", "warn", "This link can't be used",
  "It is incomplete, was used already, or has run out. Go back to your sign-in and begin again.");

const over = () => outcome("done", "good", "Go back to your sign-in",
  "If you have just added your phone, it goes on there by itself, and you can close this page. "
    + "If not, this link is over: begin your sign-in again.");

/** Whether the token still opens the account. */
async function alive() {
  try {
    await askSteadily("GET", "/v1/me", { token, trouble });
    return true;
  } catch (error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 403)) return false;
    throw error;
  }
}

async function main() {
  if (!token || !(await alive())) return noLink();
  const ended = new AbortController();
  const adding = activation({ token, trouble, over: () => ended.abort() });
  show(step, { nodes: [
    heading("Additional security verification"),
    element("p", { class: "lead" }, "Add your phone, so that you can approve your sign-ins on it."),
    adding.node,
  ] });
  do await pause(LOOK_EVERY); while (!ended.signal.aborted && await alive());
  adding.stop();
  return over();
}

main();

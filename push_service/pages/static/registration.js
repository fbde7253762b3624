/**
 * Adding a phone from a link that another sign-in page gave.
 *
 * The registration token stands in the address's fragment, which browsers send to nobody; it is taken out of the
 * address bar before anything else. The page then watches the account: the token dies with the sign-in's need for it,
 * so a token that opens nothing any more means that there is nothing left to do here.
 */

import { Problem, askSteadily, pause } from "./api.js";
import { activation } from "./activation.js";
import { connectionNotice, element, heading, icon, show } from "./dom.js";

/** Seconds between looks at the account. */
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

const added = () => outcome("done", "good", "Your phone is added",
  "Go back to your sign-in: it goes on there by itself. You can close this page.");

const over = () => outcome("done", "good", "Nothing left to do here",
  "Go back to your sign-in. If your phone was added, it goes on there by itself; if not, begin it again.");

/** Whether the account has a method now; null when the token opens nothing. */
async function look(signal) {
  try {
    const me = await askSteadily("GET", "/v1/me", { token, trouble, signal });
    return Boolean(me.methods?.length);
  } catch (error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 403)) return null;
    throw error;
  }
}

async function main() {
  const first = token ? await look() : null;
  if (first === null) return noLink();
  if (first) return added();
  const ended = new AbortController();
  const adding = activation({ token, trouble, over: () => ended.abort() });
  show(step, { nodes: [
    heading("Additional security verification"),
    element("p", { class: "lead" }, "Add your phone, so that you can approve your sign-ins on it."),
    adding.node,
  ] });
  let found = false;
  while (found === false && !ended.signal.aborted) {
    await pause(LOOK_EVERY);
    found = await look();
  }
  adding.stop();
  return found ? added() : over();
}

main();

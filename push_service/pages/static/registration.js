/**
 * Adding a way to verify from a link that another sign-in page gave.
 *
 * The registration token stands in the address's fragment, which browsers send to nobody; it is taken out of the
 * address bar before anything else. The page then tries the token from time to time: it dies with the sign-in's need
 * for it, mostly because a way was added, but also when the sign-in ended. The page can't tell one from the other.
 */

import { Problem, askSteadily, pause } from "./api.js";
import { connectionNotice, element, heading, icon, show } from "./dom.js";
import { proofUp } from "./proof_up.js";
import { text } from "./words.js";

/** Seconds between tries of the token. */
const LOOK_EVERY = 3;

const step = document.getElementById("step");
const trouble = connectionNotice();
const token = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname + location.search);

function outcome(sign, tone, title, said) {
  show(step, { centred: true, nodes: [icon(sign, tone), heading(title), element("p", { class: "lead" }, said)] });
}

const noLink = () => outcome("warn", "warn", text("link.bad_heading"), text("link.bad"));
const over = () => outcome("done", "good", text("link.over_heading"), text("link.over"));

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
  const finish = () => ended.abort();
  const home = (nodes) => [
    heading(text("proof_up.heading")),
    element("p", { class: "lead" }, text("proof_up.lead_link")),
    ...nodes,
  ];
  const access = { token, trouble, closed: finish };
  const registering = proofUp({ access, home, show: (panel) => show(step, panel), done: finish });
  show(step, { nodes: registering.nodes });
  do await pause(LOOK_EVERY, ended.signal).catch(() => {}); while (!ended.signal.aborted && await alive());
  registering.stop();
  return over();
}

main();

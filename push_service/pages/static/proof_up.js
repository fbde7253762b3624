/**
 * The first registration: the app's QR code at once, and the other ways for whoever has no app.
 *
 * Used inside a sign-in and on the page that a link opens, with the registration token of that sign-in. When a way is
 * confirmed the sign-in goes on by itself: the page around this sees that.
 */

import { activation } from "./activation.js";
import { WAYS, adding, wayList } from "./adding.js";
import { element, heading } from "./dom.js";
import { text } from "./words.js";

/**
 * `home(nodes)` sets the nodes into the page's own step, `show` shows a panel in its place, `access` is as in
 * adding.js. Returns `{nodes, stop}`.
 */
export function proofUp({ access, home, show, done = () => show(wentThrough()) }) {
  let current = null;

  const begin = () => {
    current?.stop();
    current = activation({ access });
    const others = WAYS.filter((way) => way !== "app");
    return home([current.node, others.length > 0 && element("details", { class: "disclosure" },
      element("summary", {}, text("proof_up.other")), wayList(others, choose))]);
  };
  const back = () => show({ nodes: begin() });
  const choose = (way) => {
    current.stop();
    current = adding(way, { access, show, done, back });
  };

  return { nodes: begin(), stop: () => current.stop() };
}

const wentThrough = () => ({
  nodes: [heading(text("proof_up.done")), element("p", { class: "doing" }, text("proof_up.going_on"))],
});

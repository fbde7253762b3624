/**
 * Adding a way to verify: the list of what there is, and the panel that adds one of them.
 *
 * A panel takes the place of the page's step. It is given `{access, show, done, back}`: `show` sets its nodes into the
 * page, `done` is called when the way is confirmed, `back` when the person goes back. It returns `{stop}`.
 */

import { through } from "./access.js";
import { activation } from "./activation.js";
import { addAuthenticator } from "./adding_authenticator.js";
import { addPhone } from "./adding_phone.js";
import { askSteadily, pause } from "./api.js";
import { button, element, heading } from "./dom.js";
import { text } from "./words.js";

/** Seconds between looks whether the phone was added. */
const LOOK_EVERY = 3;

const PANELS = {
  app: addApp,
  mobile: (page) => addPhone("mobile", page),
  office: (page) => addPhone("office", page),
  authenticator: addAuthenticator,
};

export const adding = (way, page) => PANELS[way](page);

/** Those that the service offers: it may have no telephone company. */
const offered = document.getElementById("main").dataset.ways.split(" ");
export const WAYS = Object.keys(PANELS).filter((way) => offered.includes(way));

export function wayList(ways, choose) {
  return element("ul", { class: "choices" }, ...ways.map((way) => element("li", {},
    element("button", { type: "button", class: "button choice", onclick: () => choose(way) },
      element("span", {}, text(`ways.${way}.label`)), element("small", {}, text(`ways.${way}.about`))))));
}

/** The app says nothing to this page when it was added: the account has a device more then. */
function addApp({ access, show, done, back }) {
  const ended = new AbortController();
  const { signal } = ended;
  const code = activation({ access });
  const look = async () => (await through(access, (by) => askSteadily("GET", "/v1/me", { ...by, signal }))).devices;
  const watch = async () => {
    const before = new Set((await look()).map((device) => device.id));
    do await pause(LOOK_EVERY, signal); while ((await look()).every((device) => before.has(device.id)));
    stop();
    done();
  };
  const stop = () => {
    ended.abort(new DOMException("left the step", "AbortError"));
    code.stop();
  };
  show({ nodes: [
    heading(text("ways.app.heading")), code.node,
    element("div", { class: "actions" }, button(text("frame.back"), () => { stop(); back(); })),
  ] });
  watch().catch((error) => {
    if (!signal.aborted) throw error;
  });
  return { stop };
}

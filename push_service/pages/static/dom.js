/**
 * Building and showing the steps of a page.
 *
 * Everything that comes from outside is set as text or as an attribute; nothing is ever parsed as markup. A step is
 * shown by replacing the content of its section and moving the focus to its heading, so that keyboard and screen
 * reader arrive where the eye does; `announce` speaks without moving anything.
 */

import { text } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * `element("p", {class: "hint", onclick: f}, "text", child, null)`: functions become listeners, `true` a bare
 * attribute, false and null are left out.
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null && child !== false));
  return made;
}

/**
 * Foreign text with its own direction, set off from ours: a name can neither turn the sentence around nor pass for
 * part of it.
 */
export const named = (name) => element("strong", {}, element("bdi", {}, unbroken(name)));

/** A phone number stays in one line. */
export const unbroken = (name) => (name.startsWith("+") ? name.replaceAll(" ", "\u00a0") : name);

/** `named` is said in place of the label where many buttons have the same. */
export function button(label, onclick, { main = false, small = false, bad = false, named: full } = {}) {
  const kinds = ["button", main && "button-main", small && "button-small", bad && "button-bad"].filter(Boolean);
  return element("button", { type: "button", class: kinds.join(" "), onclick, "aria-label": full }, label);
}

export const heading = (title) => element("h1", { id: "step-heading", tabindex: "-1" }, title);

export function icon(name, tone) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon icon-${tone}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/**
 * Make these nodes the page's step. The heading names the document too, for whoever looks at the tab only. It has the
 * focus, unless there is a field to type in at once.
 */
export function show(section, { centred = false, nodes, focus = null }) {
  section.replaceChildren(...nodes.filter(Boolean));
  section.classList.toggle("center", centred);
  section.hidden = false;
  arriveAt(section);
  focus?.focus();
}

export function arriveAt(section) {
  const title = section.querySelector("h1");
  document.title = title.textContent;
  title.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

/** Say something politely, even if the same was said before. */
export function announce(said) {
  const live = document.getElementById("live");
  live.textContent = "";
  setTimeout(() => { live.textContent = said; }, 150);
}

/** Tell of a connection that is gone, once, until it is back: the `trouble` of askSteadily. */
export function connectionNotice() {
  const notice = document.getElementById("connection");
  return (error) => {
    if (error === null) {
      if (notice.textContent) announce(text("frame.connected_again"));
      notice.textContent = "";
    } else if (!notice.textContent) {
      notice.textContent = text(error.status ? "frame.busy" : "frame.no_connection");
    }
  };
}

/** A button that copies `copied` and says so. Without a clipboard what stands in `source` is selected instead. */
export function copyButton(label, copied, source) {
  const copy = button(label, async () => {
    try {
      await navigator.clipboard.writeText(copied);
      copy.textContent = text("frame.copied");
      announce(text("frame.copied_said"));
      setTimeout(() => { copy.textContent = label; }, 2500);
    } catch {
      getSelection().selectAllChildren(source);
      announce(text("frame.copy_by_hand"));
    }
  }, { small: true });
  return copy;
}

/** Something that must be said at once. */
export const alert = (tone, said) => element("p", { class: `notice notice-${tone}`, role: "alert" }, said);

/** A secret to be read and typed: in groups of four. */
export const grouped = (secret) => secret.replace(/[\s-]/g, "").match(/.{1,4}/g).join(" ");

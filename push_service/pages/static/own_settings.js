/**
 * How the settings' pages are let in: by the cookie of a two-step sign-in that was begun for them a short while ago.
 *
 * Without one the page leads to the sign-in page, which leads back. Where there was a sign-in that doesn't do, too long
 * ago or with a password alone, the person reads so first: an account that takes a password only would go in circles.
 */

import { ConnectionLost, Problem } from "./api.js";
import { announce, connectionNotice, element, heading, icon, show } from "./dom.js";
import { problem, text } from "./words.js";

const step = document.getElementById("step");

/** The access (see access.js) of this page. `then` is the page's name to the sign-in page. */
export function ownAccess(then) {
  const way = `/sign-in?${new URLSearchParams({ then })}`;
  const closed = ({ status }) => {
    if (status === 401) location.replace(way);
    else show(step, signInAgain(way));
  };
  return { token: undefined, trouble: connectionNotice(), closed };
}

const signInAgain = (way) => ({
  centred: true,
  nodes: [
    icon("time", "warn"),
    heading(text("sign_in_again.heading")),
    element("p", { class: "lead" }, text("sign_in_again.lead")),
    element("a", { class: "button button-main", href: way }, text("sign_in_again.submit")),
    element("p", { class: "hint" }, text("sign_in_again.hint")),
  ],
});

/** A part of a settings page, under its own heading. */
export const part = (title, ...nodes) => element("section", { class: "part" }, element("h2", {}, title), ...nodes);

/** What has just happened, `{tone, said}`, at the top of the page that shows how things are now; null: nothing. */
export function newsLine(news) {
  if (!news) return null;
  announce(news.said);
  return element("p", { class: `notice notice-${news.tone}` }, news.said);
}

/** Make a change. Resolves with the news of it, good (`said`) or bad. */
export async function tried(change, said) {
  try {
    await change();
  } catch (error) {
    if (error instanceof ConnectionLost) return { tone: "bad", said: text("frame.no_connection_again") };
    if (!(error instanceof Problem)) throw error;
    return { tone: "bad", said: problem(error) };
  }
  return { tone: "good", said };
}

/** A question before something is taken away; it takes the page's step. */
export const confirmation = ({ title, lead, yes, no }) => ({
  nodes: [
    heading(title), element("p", { class: "lead" }, ...lead), element("div", { class: "actions" }, yes, no),
  ],
});

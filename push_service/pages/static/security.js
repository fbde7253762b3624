/**
 * "Additional security verification": the ways to verify that a person has, which one is asked first, adding and
 * removing one, and the way to what else is theirs.
 *
 * Every step is drawn from what the service says now; after a change it is asked again.
 */

import { through } from "./access.js";
import { WAYS, adding, wayList } from "./adding.js";
import { ask, askSteadily } from "./api.js";
import { button, element, heading, named, show, unbroken } from "./dom.js";
import { confirmation, newsLine, ownAccess, part, tried } from "./own_settings.js";
import { firstKnown, phrase, text, when } from "./words.js";

const step = document.getElementById("step");
const access = ownAccess("security");
const open = (method, path, body) => through(access, ({ token }) => ask(method, path, { token, body }));

/** Look at the account and show it, with what has just happened (`{tone, said}`), if something has. */
async function home(news = null) {
  const me = await through(access, (by) => askSteadily("GET", "/v1/me", by));
  show(step, { nodes: [
    heading(text("security.title")),
    element("p", { class: "lead" }, ...phrase("security.signed_in_as", { username: named(me.username) })),
    newsLine(news),
    part(text("security.methods"), me.methods.length
      ? element("ul", { class: "rows" }, ...me.methods.map(methodRow))
      : element("p", {}, text("security.no_methods"))),
    part(text("security.add"), wayList(WAYS, add)),
    me.browsers?.length > 0 && part(text("security.browsers"), ...rememberedBrowsers(me.browsers)),
    part(text("security.more"), element("ul", { class: "choices" }, ...MORE.map(linkTo))),
  ] });
}

/** Other pages about the account. */
const MORE = [["/app-passwords", "app_passwords"]];

const linkTo = ([href, name]) => element("li", {}, element("a", { class: "button choice", href },
  element("span", {}, text(`security.${name}`)), element("small", {}, text(`security.${name}_about`))));

const full = ({ label, target }) => text("security.method_and_target", { label, target });

function methodRow(method) {
  return element("li", { class: "row row-stacked" },
    element("div", { class: "row-text" },
      element("span", {}, method.label),
      element("small", {}, element("bdi", {}, unbroken(method.target))),
      method.primary && element("span", { class: "badge" }, text("security.primary"))),
    element("div", { class: "row-actions" },
      !method.primary && button(text("security.make_primary"), () => makePrimary(method), {
        small: true, named: text("security.make_primary_of", { method: full(method) }),
      }),
      button(text("security.remove"), () => show(step, removal(method)), {
        small: true, named: text("security.remove_of", { method: full(method) }),
      })));
}

const makePrimary = (method) => changed(() => open("PUT", "/v1/me/primary-method", { method_id: method.id }),
  text("security.is_primary", { method: full(method) }));

function removal(method) {
  const lead = firstKnown(`security.remove_${method.method}`, "security.remove_other");
  const remove = () => changed(() => open("DELETE", `/v1/me/methods/${encodeURIComponent(method.id)}`),
    text("security.removed", { method: full(method) }));
  return confirmation({
    title: text("security.remove_heading"),
    lead: phrase(lead, { target: named(method.target) }),
    yes: button(text("security.remove_yes"), remove, { bad: true }),
    no: button(text("security.remove_no"), () => home()),
  });
}

const rememberedBrowsers = (browsers) => [
  element("p", { class: "hint" }, text("security.browsers_about")),
  element("ul", { class: "rows" }, ...browsers.map(({ label, expires_at: until }) => element("li", { class: "row" },
    element("div", { class: "row-text" },
      element("bdi", {}, label), element("small", {}, text("security.remembered_until", { when: when(until) })))))),
  button(text("security.forget"), () => show(step, forgetting()), { small: true }),
];

const forgetting = () => confirmation({
  title: text("security.forget_heading"),
  lead: [text("security.forget_lead")],
  yes: button(text("security.forget_yes"), () => changed(() => open("DELETE", "/v1/me/browsers"), text("security.forgotten"))),
  no: button(text("frame.back"), () => home()),
});

/** Do it, and show the account as it is then, whatever came of it. */
const changed = async (change, said) => home(await tried(change, said));

function add(way) {
  adding(way, {
    access,
    show: (panel) => show(step, panel),
    done: () => home({ tone: "good", said: text("security.added") }),
    back: () => home(),
  });
}

home();

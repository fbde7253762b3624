/**
 * App passwords: those that a person has, where each was last used, making one, which is shown this once, and deleting
 * one.
 */

import { through } from "./access.js";
import { ask, askSteadily } from "./api.js";
import { button, copyButton, element, grouped, heading, named, show } from "./dom.js";
import { Refusal, field, form } from "./forms.js";
import { confirmation, newsLine, ownAccess, part, tried } from "./own_settings.js";
import { phrase, text, when } from "./words.js";

const PATH = "/v1/me/app-passwords";

const step = document.getElementById("step");
const access = ownAccess("app-passwords");
const open = (method, path, options = {}) => through(access, ({ token }) => ask(method, path, { ...options, token }));

/** Look at what there is and show it, with what has just happened (`{tone, said}`), if something has. */
async function home(news = null) {
  const { app_passwords: all } = await through(access, (by) => askSteadily("GET", PATH, by));
  show(step, { nodes: [
    heading(text("app_passwords.title")),
    element("p", { class: "lead" }, text("app_passwords.lead")),
    newsLine(news),
    part(text("app_passwords.list"), all.length
      ? element("ul", { class: "rows" }, ...all.map(row))
      : element("p", {}, text("app_passwords.none"))),
    part(text("app_passwords.create"), creation()),
    element("a", { href: "/security" }, text("app_passwords.back")),
  ] });
}

function row(one) {
  return element("li", { class: "row" },
    element("div", { class: "row-text" },
      element("bdi", {}, one.name),
      element("small", {}, text("app_passwords.created", { when: when(one.created_at) })),
      element("small", {}, lastUsed(one))),
    element("div", { class: "row-actions" },
      button(text("app_passwords.delete"), () => show(step, deletion(one)), {
        small: true, named: text("app_passwords.delete_of", { name: one.name }),
      })));
}

function lastUsed({ last_used_at: time, last_used_from: where }) {
  if (!time) return text("app_passwords.never_used");
  return text(where ? "app_passwords.last_used_from" : "app_passwords.last_used", { when: when(time), where });
}

function creation() {
  const name = field("name", text("app_passwords.name"), { hint: text("app_passwords.name_hint"), maxlength: "64" });
  const input = name.querySelector("input");
  return form({
    nodes: [name],
    submit: text("app_passwords.submit"),
    submitting: text("app_passwords.submitting"),
    send: async () => {
      const given = input.value.trim();
      if (!given) throw new Refusal(text("app_passwords.missing"), input);
      made(await open("POST", PATH, { body: { name: given }, key: crypto.randomUUID() }));
    },
  }).node;
}

/** The one time that it can be read. */
function made({ name, password }) {
  const shown = element("span", { class: "code code-large" }, grouped(password));
  show(step, { nodes: [
    heading(text("app_passwords.made_heading")),
    element("p", { class: "lead" }, ...phrase("app_passwords.made_lead", { name: named(name) })),
    shown,
    element("p", { class: "hint" }, text("app_passwords.made_hint")),
    element("div", { class: "actions" },
      copyButton(text("app_passwords.copy"), password, shown),
      button(text("app_passwords.done"), () => home(), { main: true })),
  ] });
}

const deletion = (one) => confirmation({
  title: text("app_passwords.delete_heading"),
  lead: phrase("app_passwords.delete_lead", { name: named(one.name) }),
  yes: button(text("app_passwords.delete_yes"), () => remove(one), { bad: true }),
  no: button(text("app_passwords.delete_no"), () => home()),
});

const remove = async (one) => home(await tried(
  () => open("DELETE", `${PATH}/${encodeURIComponent(one.id)}`), text("app_passwords.deleted", { name: one.name })));

home();

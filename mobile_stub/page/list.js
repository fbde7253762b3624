// The list of phones, and the form that activates one.

import { draw, pressed, say } from "./parts.js";
import { ASLEEP, LINE } from "./words.js";
import * as world from "./world.js";

/** Draw the list; the returned function brings it up to date. */
export function listView(screen) {
  const { root, parts } = draw("list-view");
  screen.replaceChildren(root);
  document.title = "Stub phones";
  const form = parts.activate;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    pressed(form, parts.error, async () => {
      const phone = await world.activate(form.elements.uri.value.trim(), form.elements.name.value.trim() || "Stub phone");
      location.hash = phone.id;
    });
  });
  return ({ phones, handsets }) => {
    parts.empty.hidden = phones.length > 0;
    parts.phones.replaceChildren(...phones.map(entry));
    parts.numbers.hidden = handsets.length === 0;
    parts.handsets.replaceChildren(...handsets.map(number));
  };
}

function entry(phone) {
  const waiting = phone.prompts.filter((prompt) => prompt.state === "waiting").length;
  const about = [phone.username, phone.asleep ? ASLEEP : LINE[phone.line]].filter(Boolean).join(" · ");
  return line(phone.id, phone.name, about, waiting > 0 ? `${waiting} waiting` : "");
}

function number(handset) {
  const texts = handset.texts.length;
  const ringing = handset.calls.some((call) => call.state === "ringing");
  return line(handset.number, handset.number, texts === 1 ? "1 text" : `${texts} texts`, ringing ? "Ringing" : "");
}

function line(id, title, text, badge) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  const name = document.createElement("b");
  const about = document.createElement("span");
  link.href = `#${id}`;
  say(name, title);
  say(about, text);
  link.append(name, about);
  if (badge) {
    const count = document.createElement("span");
    count.className = "count";
    count.textContent = badge;
    link.append(count);
  }
  item.append(link);
  return item;
}

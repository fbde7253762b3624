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
  return ({ phones }) => {
    parts.empty.hidden = phones.length > 0;
    parts.phones.replaceChildren(...phones.map(entry));
  };
}

function entry(phone) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  const name = document.createElement("b");
  const about = document.createElement("span");
  const waiting = phone.prompts.filter((prompt) => prompt.state === "waiting").length;
  link.href = `#${phone.id}`;
  say(name, phone.name);
  say(about, [phone.username, phone.asleep ? ASLEEP : LINE[phone.line]].filter(Boolean).join(" · "));
  link.append(name, about);
  if (waiting > 0) {
    const count = document.createElement("span");
    count.className = "count";
    count.textContent = `${waiting} waiting`;
    link.append(count);
  }
  item.append(link);
  return item;
}

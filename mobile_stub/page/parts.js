// Small tools for drawing: templates with named parts.

import { plain } from "./words.js";

/** A copy of a template, and its named parts. */
export function draw(templateId) {
  const root = document.getElementById(templateId).content.firstElementChild.cloneNode(true);
  const parts = Object.fromEntries(
    [...root.querySelectorAll("[data-part]")].map((element) => [element.dataset.part, element]),
  );
  return { root, parts };
}

/** Put outside text into an element. */
export function say(element, text) {
  element.textContent = plain(text);
}

/** Fill a definition list. */
export function list(element, pairs) {
  element.replaceChildren(
    ...pairs.map(([name, value]) => {
      const row = document.createElement("div");
      const term = document.createElement("dt");
      const text = document.createElement("dd");
      term.textContent = name;
      text.dir = "auto";
      say(text, value);
      row.append(term, text);
      return row;
    }),
  );
}

/** Run what a press does: buttons rest meanwhile, trouble is shown and read out. */
export async function pressed(root, error, act) {
  const controls = [...root.querySelectorAll("button, input")];
  error.textContent = "";
  for (const control of controls) control.disabled = true;
  try {
    await act();
  } catch (trouble) {
    error.textContent = trouble.message;
  } finally {
    for (const control of controls) control.disabled = false;
  }
}

/** Let a screen reader say it. */
export function speak(text) {
  document.getElementById("spoken").textContent = plain(text);
}

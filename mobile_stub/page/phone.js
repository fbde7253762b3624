// One phone's screen: the oldest prompt that nobody has closed, or quiet.

import { draw, list, pressed, say, speak } from "./parts.js";
import { ASLEEP, LINE, duration, ending, facts } from "./words.js";
import * as world from "./world.js";

/** Draw a phone; the returned function brings it up to date, without touching what somebody is typing. */
export function phoneView(screen, id) {
  const { root, parts } = draw("phone-view");
  screen.replaceChildren(root);
  let drawn = "";
  let tick = () => {};
  let clock = 0;
  const timer = setInterval(() => (root.isConnected ? tick() : clearInterval(timer)), 500);

  return ({ now, phones }) => {
    const phone = phones.find((each) => each.id === id);
    clock = Date.parse(now) - Date.now();
    if (!phone) return gone(parts);
    say(parts.name, phone.name);
    parts.line.textContent = phone.asleep ? ASLEEP : LINE[phone.line];
    parts.line.dataset.line = phone.line;
    parts.trouble.hidden = !phone.trouble;
    if (phone.trouble) say(parts.trouble, phone.trouble);

    const prompt = phone.prompts[0];
    const waiting = phone.prompts.filter((each) => each.state === "waiting").length;
    document.title = waiting ? `(${waiting}) ${phone.name}` : phone.name;
    const wanted = prompt ? `${prompt.id} ${prompt.state}` : `quiet ${phone.asleep}`;
    if (wanted !== drawn) {
      drawn = wanted;
      tick = () => {};
      if (!prompt) tick = quiet(parts.stage, phone);
      else if (prompt.state === "waiting") tick = ask(parts.stage, phone, prompt, () => Date.now() + clock);
      else done(parts.stage, phone, prompt);
    }
    queue(parts.stage, phone.prompts.length - 1);
    tick();
  };
}

function gone(parts) {
  parts.name.textContent = "No such phone";
  parts.line.textContent = "";
  parts.trouble.hidden = false;
  parts.trouble.textContent = "This phone isn't here any more.";
  parts.stage.replaceChildren();
}

function quiet(stage, phone) {
  const { root, parts } = draw("quiet-view");
  say(parts.username, phone.username ?? "the owner of this phone");
  list(parts.facts, [
    ["Service", phone.service],
    ["Device", phone.id],
    ["Platform", phone.platform],
  ]);
  parts.app.hidden = !phone.pushed;
  parts.app.textContent = phone.asleep ? "Open the app" : "Close the app: only a push message wakes it";
  parts.app.addEventListener("click", () => {
    pressed(root, parts.error, () => (phone.asleep ? world.openApp(phone.id) : world.closeApp(phone.id)));
  });
  parts.remove.addEventListener("click", () => {
    pressed(root, parts.error, async () => {
      await world.remove(phone.id);
      location.assign("/#");
    });
  });
  const focused = stage.contains(document.activeElement);
  stage.replaceChildren(root);
  if (focused) document.getElementById("phone-name").focus();
  return oneTimeCode(phone, parts);
}

/** The code by which the app verifies without a network; asked for anew when its half minute is over. */
function oneTimeCode(phone, parts) {
  let until = 0;
  let asking = false;
  return async () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left > 0) {
      parts.left.textContent = `for ${left} s`;
    } else if (!asking) {
      asking = true;
      try {
        const { code, seconds_left: seconds } = await world.code(phone.id);
        parts.code.textContent = `${code.slice(0, 3)} ${code.slice(3)}`;
        until = Date.now() + seconds * 1000;
      } catch {
        parts.code.textContent = "";
        until = Date.now() + 2000;
      } finally {
        asking = false;
      }
    }
  };
}

function queue(stage, more) {
  const note = stage.querySelector(".queue");
  if (!note) return;
  note.hidden = more < 1;
  note.textContent = more === 1 ? "One more is waiting after this" : `${more} more are waiting after this`;
}

function ask(stage, phone, prompt, now) {
  const { root, parts } = draw("ask-view");
  const { form, error } = parts;
  const numbered = prompt.confirm === "number";
  const digits = prompt.digits ?? 2;
  const field = form.elements.number;
  say(parts.application, prompt.application);
  list(parts.facts, facts(prompt));
  parts["number-part"].hidden = !numbered;
  parts["number-label"].textContent = `Number in the browser (${digits} digits)`;
  field.maxLength = digits;
  field.pattern = `[0-9]{${digits}}`;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (numbered && !new RegExp(`^${field.pattern}$`).test(field.value)) {
      error.textContent = `Type the ${digits} digits from the browser.`;
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return;
    }
    field.removeAttribute("aria-invalid");
    pressed(form, error, () => world.verify(phone.id, prompt.id, numbered ? field.value : null));
  });
  parts.deny.addEventListener("click", () => pressed(form, error, () => world.deny(phone.id, prompt.id)));
  parts.fraud.addEventListener("click", () => pressed(form, error, () => world.reportFraud(phone.id, prompt.id)));

  stage.replaceChildren(root);
  speak("A new sign-in request");
  if (numbered) field.focus();
  else document.getElementById("ask-title").focus();
  return () => {
    const seconds = Math.max(0, Math.round((Date.parse(prompt.expires_at) - now()) / 1000));
    parts.left.textContent = `Expires in ${duration(seconds)}`;
  };
}

function done(stage, phone, prompt) {
  const { root, parts } = draw("done-view");
  const [mood, title, text] = ending(prompt);
  root.dataset.mood = mood;
  parts.mark.textContent = { good: "✓", bad: "✕", flat: "–" }[mood];
  parts.title.textContent = title;
  parts.text.textContent = text;
  say(parts.application, prompt.application);
  parts.close.addEventListener("click", () => world.dismiss(phone.id, prompt.id));
  stage.replaceChildren(root);
  speak("");
  parts.title.focus(); // which reads it out, with the sentence that describes it
}

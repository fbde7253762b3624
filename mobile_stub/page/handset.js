// A phone that texts and calls reach: the call on it, with a keypad, and the texts that came.

import { draw, pressed, say, speak } from "./parts.js";
import { CALL, time } from "./words.js";
import * as world from "./world.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];

/** Draw one number's phone; the returned function brings it up to date. */
export function handsetView(screen, number) {
  const { root, parts } = draw("handset-view");
  screen.replaceChildren(root);
  document.title = number;
  say(parts.number, number);
  let call = null;
  const act = (what) => pressed(parts.ringing, parts.error, what);
  parts.answer.addEventListener("click", () => act(() => world.answerCall(call.id)));
  parts.decline.addEventListener("click", () => act(() => world.hangUp(call.id)));
  parts.hangup.addEventListener("click", () => act(() => world.hangUp(call.id)));
  for (const key of KEYS) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = key;
    button.addEventListener("click", () => act(() => world.pressKeys(call.id, key)));
    parts.keypad.append(button);
  }
  return ({ handsets }) => {
    const handset = handsets.find((each) => each.number === number) ?? { texts: [], calls: [] };
    const before = call;
    call = handset.calls.find((each) => each.id === call?.id && standing(each)) ?? handset.calls[0] ?? null;
    if (call && (before?.id !== call.id || before.state !== call.state)) speak(CALL[call.state]);
    drawCall(parts, call);
    parts.empty.hidden = handset.texts.length > 0;
    parts.texts.replaceChildren(...handset.texts.map(text));
  };
}

const standing = (call) => call.state === "ringing" || call.state === "in-progress";

function drawCall(parts, call) {
  parts.call.hidden = call === null;
  if (call === null) return;
  say(parts.title, CALL[call.state]);
  say(parts.caller, call.extension ? `From ${call.sender}, for extension ${call.extension}` : `From ${call.sender}`);
  parts.ringing.hidden = call.state !== "ringing";
  parts.standing.hidden = call.state !== "in-progress";
  for (const sentence of call.said.slice(parts.said.dataset.call === call.id ? parts.said.children.length : 0)) {
    if (parts.said.dataset.call !== call.id) parts.said.replaceChildren();
    parts.said.dataset.call = call.id;
    const item = document.createElement("li");
    say(item, sentence);
    parts.said.append(item);
  }
  if (call.said.length === 0) parts.said.replaceChildren();
}

function text({ sender, body, at }) {
  const item = document.createElement("li");
  const about = document.createElement("span");
  const words = document.createElement("p");
  say(about, `${sender} · ${time.format(new Date(at))}`);
  say(words, body);
  words.dir = "auto";
  item.append(about, words);
  return item;
}

// Which view the address asks for, kept true by what the world says.

import { handsetView } from "./handset.js";
import { listView } from "./list.js";
import { phoneView } from "./phone.js";
import { watch } from "./world.js";

const screen = document.getElementById("screen");
const lostNotice = document.getElementById("lost");
let latest = null;
let update = () => {};

function wantedPhone() {
  const [, inPath] = location.pathname.match(/^\/phones\/([^/]+)$/) ?? [];
  return decodeURIComponent(location.hash.slice(1) || inPath || "");
}

function show() {
  const id = wantedPhone();
  if (id.startsWith("+")) update = handsetView(screen, id);
  else update = id ? phoneView(screen, id) : listView(screen);
  if (latest) update(latest);
}

window.addEventListener("hashchange", () => {
  show();
  screen.querySelector("h1")?.focus();
});
show();
watch(
  (world) => {
    latest = world;
    update(world);
  },
  (lost) => {
    lostNotice.hidden = !lost;
  },
);

/**
 * Where a phone's camera ends up when it opens a QR code's address and no app takes it over.
 *
 * The page shows the activation code from the fragment, so that it can be typed or pasted in the app. It asks the
 * service nothing: the code is spent by the app alone. The fragment stays, because a reload must show the same.
 */

import { copyButton, element, heading, icon, show } from "./dom.js";
import { text } from "./words.js";

const step = document.getElementById("step");
const code = new URLSearchParams(location.hash.slice(1)).get("code");

if (code) {
  const shown = element("span", { class: "code" }, code);
  show(step, { nodes: [
    heading(text("activate.title")),
    element("p", { class: "lead" }, text("activate.lead")),
    element("ol", { class: "steps" },
      element("li", {}, text("activate.open_app")),
      element("li", {}, text("activate.scan"))),
    shown,
    element("div", { class: "actions" },
      copyButton(text("activation.copy_code"), code, shown),
      copyButton(text("activation.copy_link"), location.href, shown)),
    element("p", { class: "hint" }, text("activate.hint")),
  ] });
} else {
  show(step, { centred: true, nodes: [
    icon("warn", "warn"),
    heading(text("activate.none_heading")),
    element("p", { class: "lead" }, text("activate.none")),
  ] });
}

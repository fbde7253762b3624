/**
 * Where a phone's camera ends up when it opens a QR code's address and no app takes it over.
 *
 * The page shows the activation code from the fragment, so that it can be typed or pasted in the app. It asks the
 * service nothing: the code is spent by the app alone. The fragment stays, because a reload must show the same.
 */

import { copyButton, element, heading, icon, show } from "./dom.js";

const step = document.getElementById("step");
const code = new URLSearchParams(location.hash.slice(1)).get("code");

if (code) {
  const text = element("span", { class: "code" }, code);
  show(step, { nodes: [
    heading("Add this phone"),
    element("p", { class: "lead" }, "This page was opened by your camera. The code belongs in the app:"),
    element("ol", { class: "steps" },
      element("li", {}, "Open the app on this phone, and choose to add an account."),
      element("li", {}, "Scan the QR code there, or paste this:")),
    text,
    element("div", { class: "actions" },
      copyButton("Copy the code", code, text), copyButton("Copy as a link", location.href, text)),
    element("p", { class: "hint" }, "The page that showed the QR code goes on by itself when the phone is added."),
  ] });
} else {
  show(step, { centred: true, nodes: [
    icon("warn", "warn"),
    heading("There is no code here"),
    element("p", { class: "lead" }, "Scan the QR code on the other screen again, best from inside the app."),
  ] });
}

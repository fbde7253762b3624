/** What is scanned with a phone, and the same for whoever can't scan. */

import { copyButton, element } from "./dom.js";

/**
 * A QR code that the service drew. As an image an SVG can run nothing and load nothing. It needs the namespace there
 * that it may lack inside a page.
 */
export function qrCode(svg, alt) {
  const whole = svg.includes("xmlns=") ? svg : svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"');
  return element("div", { class: "qr" },
    element("img", { src: `data:image/svg+xml,${encodeURIComponent(whole)}`, alt }));
}

/** For whoever can't scan: the same as text, with buttons that copy it. */
export function insteadOfScanning({ summary, hint, shown, copies }) {
  const code = element("span", { class: "code" }, shown);
  return element("details", { class: "disclosure" },
    element("summary", {}, summary),
    element("p", { class: "hint" }, hint),
    code,
    element("div", { class: "actions" }, ...copies.map(([label, copied]) => copyButton(label, copied, code))));
}

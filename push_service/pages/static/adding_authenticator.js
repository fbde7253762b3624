/** Adding an authenticator app of any make: a secret to scan or type, and one code that shows that it arrived. */

import { through } from "./access.js";
import { Problem, ask, askSteadily } from "./api.js";
import { alert, button, element, grouped, heading } from "./dom.js";
import { codeForm } from "./forms.js";
import { insteadOfScanning, qrCode } from "./scanning.js";
import { timeLeft } from "./timing.js";
import { problem, text } from "./words.js";

const PATH = "/v1/me/authenticator-apps";
const DIGITS = 6;

/** The page is as in adding.js. */
export function addAuthenticator({ access, show, done, back }) {
  let gone = false;
  let leave = () => {};
  const stop = () => { gone = true; leave(); };
  const goBack = element("div", { class: "actions" }, button(text("frame.back"), () => { stop(); back(); }));

  const step = (...nodes) => {
    if (!gone) show({ nodes: [heading(text("ways.authenticator.heading")), ...nodes, goBack] });
  };

  const begin = async () => {
    leave();
    step(element("p", { class: "doing" }, text("authenticator.doing")));
    try {
      const key = crypto.randomUUID();
      scan(await through(access, (by) => askSteadily("POST", PATH, { ...by, body: {}, key })));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      stopped(problem(error));
    }
  };

  const stopped = (said) => {
    leave();
    step(alert("warn", said), button(text("authenticator.renew"), begin, { main: true }));
  };

  const scan = ({ id, uri, secret, qr_svg: svg, expires_at: expiresAt }) => {
    if (gone) return;
    const time = timeLeft(expiresAt, () => stopped(text("authenticator.over")));
    const code = codeForm({
      digits: DIGITS,
      label: text("authenticator.code"),
      submit: text("authenticator.submit"),
      send: async (typed) => {
        const path = `${PATH}/${encodeURIComponent(id)}/confirm`;
        try {
          await through(access, ({ token }) => ask("POST", path, { token, body: { code: typed } }));
        } catch (error) {
          if (!(error instanceof Problem) || error.passing || error.code === "wrong_code") throw error;
          stopped(problem(error));
          return;
        }
        if (gone) return;
        stop();
        done();
      },
    });
    leave = () => { time.stop(); code.stop(); };
    step(
      element("ol", { class: "steps" },
        ...["open_app", "scan", "type"].map((line) => element("li", {}, text(`authenticator.${line}`)))),
      qrCode(svg, text("authenticator.picture")),
      insteadOfScanning({
        summary: text("authenticator.cannot_scan"),
        hint: text("authenticator.type_secret"),
        shown: grouped(secret),
        copies: [[text("authenticator.copy_secret"), secret], [text("activation.copy_link"), uri]],
      }),
      code.node,
      time.node,
    );
  };

  begin();
  return { stop };
}

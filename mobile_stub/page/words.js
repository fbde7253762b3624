// Every sentence about how a prompt ended, and how its facts are put.

const WITHDRAWN = {
  answered_elsewhere: "It was answered on another phone.",
  other_method: "Another way to verify was chosen in the browser.",
  cancelled: "It was cancelled in the browser.",
  replaced: "A newer sign-in from the same browser took its place.",
  ended_while_away: "It ended while this phone was out of reach.",
};

const ENDINGS = {
  completed: ["good", "You have successfully completed the sign in", "You can go back to the browser."],
  denied: ["bad", "You denied this sign-in", "Nobody was signed in."],
  fraud_reported: ["bad", "Thank you for reporting this", "The sign-in was stopped, and the report was taken down."],
  wrong_number: ["bad", "That wasn't the number in the browser", "The sign-in was stopped. Start again in the browser."],
  too_late: ["flat", "Too late", "This sign-in had already ended."],
  expired: ["flat", "This sign-in has expired", "It wasn't answered in time. Start again in the browser."],
};

/** Mood (good, bad, flat), heading and sentence for a prompt that can't be answered any more. */
export function ending(prompt) {
  if (prompt.state === "withdrawn") {
    return ["flat", "This sign-in was withdrawn", WITHDRAWN[prompt.reason] ?? "It isn't asked any more."];
  }
  const [mood, title, text] = ENDINGS[prompt.state];
  return prompt.reported ? [mood, title, `${text} Your report was taken down.`] : [mood, title, text];
}

// Characters that draw nothing or turn the direction of what follows could make a text read as another one.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text that came from outside, with nothing hidden in it. */
export const plain = (text) => text.replace(HIDDEN, "\uFFFD");

export const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** The facts by which a person judges a sign-in, as pairs of name and value; what isn't known is left out. */
export function facts(prompt) {
  const place = [prompt.location, prompt.ip].filter(Boolean).join(" · ");
  return [
    ["Account", prompt.username],
    ["Place", place],
    ["Browser", prompt.browser],
    ["Time", time.format(new Date(prompt.requested_at))],
  ].filter(([, value]) => value);
}

/** Seconds as people say them. */
export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = String(seconds % 60).padStart(2, "0");
  return `${minutes}:${rest}`;
}

export const LINE = { connected: "Connected", connecting: "Connecting…", closed: "Off" };

/** How a call stands. */
export const CALL = {
  ringing: "Incoming call",
  "in-progress": "On a call",
  completed: "Call ended",
  busy: "Call declined",
  "no-answer": "Missed call",
  failed: "Call failed",
  canceled: "Missed call",
};

/** In place of the line, while the app is closed. */
export const ASLEEP = "Asleep";

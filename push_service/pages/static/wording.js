/**
 * What the sign-in page says about each state, reason, delivery and error: one place to read, review and translate.
 * Whatever the service adds later falls back to its kind here, and to the service's own sentence for an error.
 */

/** How a sign-in ended: `tone` chooses the colour, `icon` the sign, `again` is the label of the way on. */
const ENDINGS = {
  denied: {
    tone: "bad", icon: "stop", heading: "Sign-in denied", again: "Sign in again",
    text: "The request was denied on the phone, and nobody was signed in. If that was a slip, sign in again.",
  },
  "denied fraud_reported": {
    tone: "bad", icon: "stop", heading: "Reported as not you", again: "Back to sign-in",
    text: "Someone reported on the phone that they did not start this sign-in. It was stopped and "
      + "your administrator has been told. "
      + "If it was you, talk to your administrator. If it was not, change your password now.",
  },
  failed: {
    tone: "bad", icon: "stop", heading: "Sign-in did not work", again: "Sign in again",
    text: "The second step could not be completed. Sign in again for a new one.",
  },
  "failed wrong_number": {
    tone: "bad", icon: "stop", heading: "That was a different number", again: "Sign in again",
    text: "The number typed on the phone was not the one shown here. To keep guessing out, one wrong "
      + "number ends a sign-in. Sign in again for a new number.",
  },
  "failed too_many_tries": {
    tone: "bad", icon: "stop", heading: "Too many wrong tries", again: "Back to sign-in",
    text: "The second step was answered wrongly too often. Wait a while before you sign in again, or "
      + "ask your administrator for help.",
  },
  "failed user_blocked": {
    tone: "bad", icon: "stop", heading: "Your account is blocked", again: "Back to sign-in",
    text: "Signing in is switched off for this account. Your administrator can unblock it.",
  },
  "failed no_method": {
    tone: "warn", icon: "warn", heading: "No way to verify you", again: "Back to sign-in",
    text: "This account needs a second step, but no phone is registered for it, and one can't be "
      + "added here. Ask your administrator to reset your verification methods.",
  },
  expired: {
    tone: "warn", icon: "time", heading: "Time ran out", again: "Try again",
    text: "The sign-in was not approved in time. Try again for a new request.",
  },
  withdrawn: {
    tone: "warn", icon: "warn", heading: "Sign-in ended", again: "Sign in again",
    text: "This sign-in is over. Sign in again to go on.",
  },
  "withdrawn cancelled": {
    tone: "warn", icon: "warn", heading: "Sign-in cancelled", again: "Sign in again",
    text: "Nobody was signed in. The request on the phone is gone.",
  },
  "withdrawn replaced": {
    tone: "warn", icon: "warn", heading: "Continued elsewhere", again: "Sign in here instead",
    text: "A newer sign-in from this browser took the place of this one. Go on there.",
  },
  "withdrawn registered_elsewhere": {
    tone: "warn", icon: "warn", heading: "Set up in another window", again: "Sign in again",
    text: "A phone was added from another sign-in. Sign in again and approve it on that phone.",
  },
};

/** What to say when the sign-in can no longer be seen from this tab. */
export const NOT_OURS = "That sign-in is over, or went on in another tab. Sign in again to go on.";

export const ending = (signIn) => ENDINGS[`${signIn.state} ${signIn.reason}`] ?? ENDINGS[signIn.state];

/** What happened to the request on its way to `where`, the phone's name or "your phone"; `stuck`: offer it again. */
export function delivery(state, where) {
  switch (state) {
    case "queued": return { stuck: false, text: `Reaching ${where}…` };
    case "sent": return { stuck: false, text: `Sent to ${where}. Waiting for your answer…` };
    case "delivered": return { stuck: false, text: `The request is on ${where}. Waiting for your answer…` };
    case "failed": return { stuck: true, text: `We could not reach ${where}. ${OPEN_THE_APP}` };
    default: return { stuck: true, text: `We can't tell whether ${where} was reached. ${OPEN_THE_APP}` };
  }
}

/** Why a sign-in that goes on has no question at the moment. */
export function noChallenge(signIn) {
  if (signIn.notice === "prompt_limit") {
    return "Several requests were sent to your phone and not answered, so no more are sent for now. "
      + "Choose another way to verify, or cancel and try again later.";
  }
  switch (signIn.challenge?.reason) {
    case "no_answer": return "Nobody answered. Choose how to go on.";
    case "busy": return "The line was busy. Choose how to go on.";
    case "delivery_failed": return "The request could not be delivered. Choose another way to verify.";
    default: return "Choose how you want to verify that it is you.";
  }
}

const PROBLEMS = {
  invalid_credentials: "The username or password is not right. Check both and try again.",
  too_many_tries: "There were too many wrong tries. Wait until the time is up, then try again.",
  too_many_pending: "Several sign-ins are already waiting for an answer on your phone. Answer or "
    + "cancel those, or wait until the time is up.",
  too_many_prompts: "Several requests were sent to your phone and not answered, so no more are sent "
    + "for now. Try again when the time is up.",
  unknown_method: "That way to verify is no longer available. Choose another.",
};

/** One sentence for a refused request: ours by code, else by status, else the service's own. */
export function problem(error) {
  if (PROBLEMS[error.code]) return PROBLEMS[error.code];
  if (error.status === 429) return "That was too often in a short time. Wait until the time is up, then try again.";
  if (error.status === 503) return "The service is busy right now. Your details are kept; try again "
    + "when the time is up.";
  if (error.status >= 500) return "Something went wrong on our side. Please try again.";
  return error.detail || error.title || "That did not work. Please try again.";
}

const OPEN_THE_APP = "Open the app there: the request is waiting in it.";

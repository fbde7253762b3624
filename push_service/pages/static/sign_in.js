/**
 * The sign-in page: password form, then whatever the sign-in's state asks for, then the way back to the application.
 *
 * One sign-in is followed at a time. Its id, never a secret, is kept in sessionStorage together with the request that
 * the page was opened with: a reloaded tab goes on where it was, a tab opened for something else starts afresh, so
 * that a result never reaches a request that it was not made for. The browser token is in a cookie that no script can
 * read.
 */

import { ConnectionLost, Problem, ask, askSteadily, follow, isFinal, pause, signInPath } from "./api.js";
import { alert, announce, arriveAt, connectionNotice, show } from "./dom.js";
import { pickingUp, stepOf, viewOf } from "./sign_in_views.js";
import { holdOff, waits } from "./timing.js";
import { problem, text } from "./words.js";

const asked = document.getElementById("main").dataset;
const passwordStep = document.getElementById("password-step");
const form = document.getElementById("password-form");
const submit = document.getElementById("password-submit");
const message = document.getElementById("password-message");
const step = document.getElementById("step");
const trouble = connectionNotice();

/* What is going on: the sign-in as last seen, its view, and the controller that ends everything that belongs to it. */
let signIn = null;
let view = null;
let life = new AbortController();

const actions = {
  applicationName: asked.applicationName,
  redirectUri: asked.redirectUri,
  requestState: asked.state,
  opens: asked.opens,
  remembering: { wanted: false },
  announce,
  trouble,
  show: (panel) => show(step, panel),
  cancel: () => change("DELETE", ""),
  type: typeCode,
  choose: (methodId) => change("POST", "/challenges", {
    method_id: methodId,
    ...(signIn.challenge?.state === "pending" && { instead_of: signIn.challenge.id }),
  }),
  again: () => passwordForm(),
  lost: () => passwordForm(text("password.not_ours")),
};

const kept = {
  read() {
    try {
      const found = JSON.parse(sessionStorage.getItem("sign-in"));
      return found?.request === location.search ? found : null;
    } catch {
      return null;
    }
  },
  write: (more) => sessionStorage.setItem("sign-in", JSON.stringify({ request: location.search, ...more })),
  clear: () => sessionStorage.removeItem("sign-in"),
};

// Password form

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (waits(submit)) return;
  const { username, password } = form.elements;
  for (const field of [username, password]) field.removeAttribute("aria-invalid");
  const missing = [username, password].find((field) => !field.value);
  if (missing) return refuse(text(`password.missing_${missing.name}`), missing);
  say("");
  busy();
  try {
    const begun = await begin(username.value, password.value);
    form.reset();
    kept.write({ id: begun.id });
    take(begun);
    watch();
  } catch (error) {
    if (!(error instanceof Problem || error instanceof ConnectionLost)) throw error;
    refused(error);
  }
  return undefined;
});

/** Begin, over a bad connection too: the key makes a repeated request the same request, so only one prompt is sent. */
async function begin(username, password) {
  const options = {
    key: crypto.randomUUID(),
    body: { application: asked.applicationId, username, password, ...(asked.nonce && { nonce: asked.nonce }) },
  };
  for (const seconds of [1, 2, 4]) {
    try {
      return await ask("POST", "/sign-in/begin", options);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      say(text("password.retrying"), "warn");
      await pause(seconds);
    }
  }
  return ask("POST", "/sign-in/begin", options);
}

function refused(error) {
  ready();
  const { username, password } = form.elements;
  if (error instanceof ConnectionLost) {
    say(text("password.no_connection"), "warn");
  } else if (error.code === "invalid_credentials") {
    username.setAttribute("aria-invalid", "true");
    password.value = "";
    refuse(problem(error), password);
  } else {
    say(problem(error), error.passing ? "warn" : "bad");
    if (error.retryAfter) holdOffSubmit(error.retryAfter);
  }
}

function refuse(said, field) {
  say(said, "bad");
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", "password-message");
  field.focus();
}

/** The button counts down and keeps the focus; only start and end are said aloud. */
function holdOffSubmit(seconds) {
  const stop = holdOff(submit, seconds, (time) => text("frame.try_again_in", { time }), () => {
    ready();
    say(text("frame.can_try_again"));
  });
  life.signal.addEventListener("abort", stop);
}

function say(said, tone) {
  message.className = tone ? `notice notice-${tone}` : "notice";
  message.textContent = said;
}

function busy() {
  submit.setAttribute("aria-disabled", "true");
  submit.textContent = text("password.submitting");
}

function ready() {
  submit.disabled = false;
  submit.removeAttribute("aria-disabled");
  submit.textContent = text("password.submit");
}

function passwordForm(said = "") {
  leave();
  kept.clear();
  step.hidden = true;
  passwordStep.hidden = false;
  ready();
  say(said, "warn");
  arriveAt(passwordStep);
  document.title = text("password.title", { application: asked.applicationName });
  form.elements[form.elements.username.value ? "password" : "username"].focus();
}

// A sign-in

/** Show a sign-in as the service gave it; an older one than shown is a late answer and says nothing. */
function take(newer) {
  if (signIn && newer.id === signIn.id && newer.version < signIn.version) return;
  const same = signIn && stepOf(newer) === stepOf(signIn);
  signIn = newer;
  if (same) {
    view.update?.(signIn);
    return;
  }
  present(viewOf(signIn, actions));
  if (signIn.state === "approved") finish();
}

function present(next) {
  view?.stop?.();
  view = next;
  passwordStep.hidden = true;
  show(step, view);
  if (view.said) announce(view.said);
}

/** Follow the sign-in to its end. */
async function watch() {
  const { signal } = life;
  if (isFinal(signIn)) return;
  try {
    for await (const newer of follow(signIn.id, signIn.version, { signal, trouble })) take(newer);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) throw error;
    actions.lost();
  }
}

/**
 * Cancel, or choose a method. Whatever the refusal, the truth is one look away; what can be asked again later is
 * returned.
 */
async function change(method, route, body) {
  const { signal } = life;
  const path = signInPath(signIn.id);
  try {
    take(await ask(method, path + route, { body, signal, key: method === "POST" ? crypto.randomUUID() : undefined }));
  } catch (error) {
    if (signal.aborted) return null;
    if (error instanceof ConnectionLost) complain(text("frame.no_connection_again"), "warn");
    else if (!(error instanceof Problem)) throw error;
    else if (await overtaken(error)) return null;
    else if (error.status === 429) {
      complain(text("again.too_soon"), "warn");
      return error;
    } else complain(problem(error), "bad");
  }
  return null;
}

/** Send a typed code; its form says what the code was refused for. No key: a repeated code is one try more. */
async function typeCode(code) {
  const { signal } = life;
  try {
    take(await ask("POST", `${signInPath(signIn.id)}/code`, { body: { code }, signal }));
  } catch (error) {
    if (signal.aborted || (error instanceof Problem && await overtaken(error))) return;
    throw error;
  }
}

/** Whether the refusal means that the sign-in is not where this page thought: then the page catches up. */
async function overtaken(error) {
  const { signal } = life;
  if (error.status === 401) actions.lost();
  else if (error.status === 409) take(await askSteadily("GET", signInPath(signIn.id), { signal, trouble }));
  else return false;
  return true;
}

/** Say beside the step's heading that what was pressed did not work. */
function complain(said, tone) {
  step.querySelector(":scope > [role=alert]")?.remove();
  const complaint = alert(tone, "");
  step.querySelector("h1").after(complaint);
  complaint.textContent = said;
}

/** Approved: have the browser remembered if the person wants it, which must not keep them from going on. */
async function finish() {
  const { signal } = life;
  if (actions.remembering.wanted && signIn.remember_days) {
    try {
      await ask("POST", `${signInPath(signIn.id)}/remember`, { signal });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem || error instanceof ConnectionLost)) throw error;
    }
  }
  handOver();
}

/**
 * Give the result to the application, once by itself: whoever comes back with the Back button presses Continue
 * instead. A sign-in that one of our own pages asked for leads back there, and is not picked up again.
 */
function handOver() {
  if (asked.atOnce) {
    kept.clear();
    location.replace(asked.opens);
    return;
  }
  const way = document.getElementById("hand-over");
  if (!way || kept.read()?.handedOver) return;
  kept.write({ id: signIn.id, handedOver: true });
  way.submit();
}

function leave() {
  life.abort(new DOMException("left the sign-in", "AbortError"));
  life = new AbortController();
  view?.stop?.();
  trouble(null);
  signIn = null;
  view = null;
}

async function pickUp(id) {
  const { signal } = life;
  present(pickingUp());
  try {
    take(await askSteadily("GET", signInPath(id), { signal, trouble }));
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) throw error;
    passwordForm();
    return;
  }
  watch();
}

ready();
const former = kept.read();
if (former) pickUp(former.id);

/**
 * The sign-in page: password form, then whatever the sign-in's state asks for, then the way back to the application.
 *
 * One sign-in is followed at a time. Its id, never a secret, is kept in sessionStorage together with the request that
 * the page was opened with: a reloaded tab goes on where it was, a tab opened for something else starts afresh, so
 * that a result never reaches a request that it was not made for. The browser token is in a cookie that no script can
 * read.
 */

import { ConnectionLost, Problem, ask, askSteadily, follow, isFinal, pause, signInPath } from "./api.js";
import { announce, arriveAt, clock, connectionNotice, countDown, element, show } from "./dom.js";
import { pickingUp, stepOf, viewOf } from "./sign_in_views.js";
import { NOT_OURS, problem } from "./wording.js";

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
  announce,
  trouble,
  cancel: () => change("DELETE", ""),
  choose: (methodId) => change("POST", "/challenges", {
    method_id: methodId,
    ...(signIn.challenge?.state === "pending" && { instead_of: signIn.challenge.id }),
  }),
  again: () => passwordForm(),
  lost: () => passwordForm(NOT_OURS),
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
  if (submit.getAttribute("aria-disabled") === "true") return;
  const { username, password } = form.elements;
  for (const field of [username, password]) field.removeAttribute("aria-invalid");
  const missing = [username, password].find((field) => !field.value);
  if (missing) return refuse(`Type your ${missing.name}.`, missing);
  say("");
  busy("Signing in…");
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
      say("No connection to the service. Trying again…", "warn");
      await pause(seconds);
    }
  }
  return ask("POST", "/sign-in/begin", options);
}

function refused(error) {
  ready();
  const { username, password } = form.elements;
  if (error instanceof ConnectionLost) {
    say("No connection to the service. Check your network, then try again.", "warn");
  } else if (error.code === "invalid_credentials") {
    username.setAttribute("aria-invalid", "true");
    password.value = "";
    refuse(problem(error), password);
  } else {
    say(problem(error), error.passing ? "warn" : "bad");
    if (error.retryAfter) holdOff(error.retryAfter);
  }
}

function refuse(text, field) {
  say(text, "bad");
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", "password-message");
  field.focus();
}

/** The button counts down and keeps the focus; only start and end are said aloud. */
function holdOff(seconds) {
  submit.setAttribute("aria-disabled", "true");
  const stop = countDown(performance.now() + seconds * 1000, (left) => {
    if (left) submit.textContent = `Try again in ${clock(left)}`;
    else {
      ready();
      say("You can try again now.");
    }
  });
  life.signal.addEventListener("abort", stop);
}

function say(text, tone) {
  message.className = tone ? `notice notice-${tone}` : "notice";
  message.textContent = text;
}

function busy(text) {
  submit.setAttribute("aria-disabled", "true");
  submit.textContent = text;
}

function ready() {
  submit.disabled = false;
  submit.removeAttribute("aria-disabled");
  submit.textContent = "Sign in";
}

function passwordForm(text = "") {
  leave();
  kept.clear();
  step.hidden = true;
  passwordStep.hidden = false;
  ready();
  say(text, "warn");
  arriveAt(passwordStep);
  document.title = `Sign in to ${asked.applicationName}`;
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
  if (signIn.state === "approved") handOver();
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

/** Cancel, or choose another method. Whatever the refusal, the truth is one look away. */
async function change(method, route, body) {
  const { signal } = life;
  const path = signInPath(signIn.id);
  try {
    take(await ask(method, path + route, { body, signal, key: method === "POST" ? crypto.randomUUID() : undefined }));
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof ConnectionLost) complain("No connection to the service. Please try again.");
    else if (!(error instanceof Problem)) throw error;
    else if (error.status === 401) actions.lost();
    else if (error.status === 409) take(await askSteadily("GET", path, { signal, trouble }));
    else complain(problem(error));
  }
}

/** Say beside the step's heading that what was pressed did not work. */
function complain(text) {
  step.querySelector("[role=alert]")?.remove();
  const alert = element("p", { class: "notice notice-bad", role: "alert" });
  step.querySelector("h1").after(alert);
  alert.textContent = text;
}

/**
 * Give the result to the application, once by itself: whoever comes back with the Back button presses Continue
 * instead.
 */
function handOver() {
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

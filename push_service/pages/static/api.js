/**
 * The service's HTTP interface, as far as the pages use it.
 *
 * Answers are JSON; errors are problem documents (RFC 9457) and become `Problem`, a request that got no answer at all
 * becomes `ConnectionLost`. The browser token of a sign-in is in a cookie that no script can read; only the
 * registration routes are given a token here. `follow` is the long-poll: it yields a sign-in whenever it changed and
 * survives lost connections and restarts of the service.
 */

/** Seconds that the service holds a question open; the request itself gets a little longer before it counts as lost. */
const WAIT = 25;
const PATIENCE = 10;
const BACK_OFF = [1, 2, 4, 8, 15];

const FINAL = new Set(["approved", "denied", "failed", "expired", "withdrawn"]);

/**
 * The service said no, and why: `code` is stable, `title` and `detail` are for people, `retryAfter` is in seconds or
 * null, `triesLeft` a number where tries are counted.
 */
export class Problem extends Error {
  constructor(status, { code = "", title = "", detail = "", state = null, tries_left: triesLeft = null }, retryAfter) {
    super(`${status} ${code}`);
    Object.assign(this, { status, code, title, detail, state, triesLeft, retryAfter });
  }

  /** Whether asking the same again later may help. */
  get passing() {
    return this.status === 429 || this.status >= 500;
  }
}

/** No answer: offline, refused, cut off, or too slow. Whether the service acted is unknown. */
export class ConnectionLost extends Error {}

/* A browser's clock may be wrong by minutes. The Date of an answer is at most the service's time when it arrives (whole
   seconds, and then it travelled), so the largest difference seen is the closest to the truth. */
let ahead = -Infinity;

/** Milliseconds until a time that the service named, by the service's clock. */
export function millisecondsUntil(time) {
  return Date.parse(time) - (Date.now() + (Number.isFinite(ahead) ? ahead : 0));
}

/** Ask once. Resolves with the decoded answer; rejects with `Problem`, `ConnectionLost`, or the signal's reason. */
export async function ask(method, path, { body, token, key, signal, patience = PATIENCE } = {}) {
  const headers = { accept: "application/json" };
  if (method !== "GET") headers["content-type"] = "application/json";
  if (token) headers.authorization = `Bearer ${token}`;
  if (key) headers["idempotency-key"] = key;
  const limit = AbortSignal.timeout(patience * 1000);
  let response, text;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    text = await response.text();
  } catch (error) {
    signal?.throwIfAborted();
    throw new ConnectionLost(path, { cause: error });
  }
  const date = Date.parse(response.headers.get("date") ?? "");
  if (date) ahead = Math.max(ahead, date - Date.now());
  const answer = response.status === 204 ? undefined : decoded(text);
  if (!response.ok) throw new Problem(response.status, answer ?? {}, retryAfter(response));
  if (answer === null) throw new ConnectionLost(`${path}: not from the service`); // a captive portal, say
  return answer;
}

/**
 * Ask until there is an answer that waiting would not change, by a path that may depend on how many tries have failed
 * so far. `trouble(error)` is told of each failure that is waited out, `trouble(null)` when it is over.
 */
export async function askSteadily(method, path, { trouble = () => {}, ...options } = {}) {
  for (let failures = 0; ; failures += 1) {
    try {
      const answer = await ask(method, typeof path === "string" ? path : path(failures), options);
      if (failures) trouble(null);
      return answer;
    } catch (error) {
      if (!(error instanceof ConnectionLost || (error instanceof Problem && error.passing))) {
        if (failures) trouble(null);
        throw error;
      }
      trouble(error);
      await pause(error.retryAfter ?? backOff(failures), options.signal);
    }
  }
}

export const signInPath = (id) => `/v1/sign-ins/${encodeURIComponent(id)}`;

export const isFinal = (signIn) => FINAL.has(signIn.state);

/**
 * Yield the sign-in each time it differs from `version`, at last in a final state. Ends with `Problem` (401: not ours
 * any more) or the signal.
 */
export async function* follow(id, version, { signal, trouble }) {
  for (let after = version; ; ) {
    const asked = performance.now();
    const waiting = `${signInPath(id)}?${new URLSearchParams({ wait: WAIT, after })}`;
    // After a failure not to wait but to hear at once: people must not read of a lost connection that is long back.
    const path = (failures) => (failures ? signInPath(id) : waiting);
    const signIn = await askSteadily("GET", path, { signal, trouble, patience: WAIT + PATIENCE });
    if (signIn.version !== after) yield signIn;
    if (isFinal(signIn)) return;
    // Whatever stands between may cut waits short; it must not turn this loop into a flood.
    else if (performance.now() - asked < 1000 && signIn.version === after) await pause(1, signal);
    after = signIn.version;
  }
}

/** Seconds before the next try, spread so that the pages of a restarted service don't all come back at one moment. */
const backOff = (failures) => BACK_OFF[Math.min(failures, BACK_OFF.length - 1)] * (0.75 + Math.random() / 2);

/** Wait, but not longer than until the network is said to be back. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const finish = (settle, value) => {
      clearTimeout(timer);
      window.removeEventListener("online", wake);
      signal?.removeEventListener("abort", stop);
      settle(value);
    };
    const wake = () => finish(resolve);
    const stop = () => finish(reject, signal.reason);
    const timer = setTimeout(wake, seconds * 1000);
    window.addEventListener("online", wake);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
  });
}

function decoded(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // somebody else's page, or cut off
  }
}

function retryAfter(response) {
  const value = response.headers.get("retry-after");
  if (value === null) return null;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(1, Math.ceil(seconds)) : null;
}

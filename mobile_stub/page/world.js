// What the page says to the world and hears from it. Nothing here touches the document.

/** A refusal, with a sentence for people. */
export class Trouble extends Error {
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

async function send(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Trouble("world_unreachable", "The world isn't answering.");
  }
  if (response.status === 204) return null;
  if (response.ok) return response.json();
  const said = await response.json().catch(() => ({}));
  throw new Trouble(said.code ?? "unknown", said.detail ?? `That didn't work (${response.status}).`);
}

const phone = (id) => `/phones/${encodeURIComponent(id)}`;
const prompt = (id, promptId) => `${phone(id)}/prompts/${encodeURIComponent(promptId)}`;

export const activate = (uri, name) => send("POST", "/phones", { uri, name });
export const remove = (id) => send("DELETE", phone(id));
export const code = (id) => send("GET", `${phone(id)}/code`);
export const closeApp = (id) => send("POST", `${phone(id)}/close`);
export const openApp = (id) => send("POST", `${phone(id)}/open`);
export const verify = (id, promptId, number) => send("POST", `${prompt(id, promptId)}/verify`, { number });
export const deny = (id, promptId) => send("POST", `${prompt(id, promptId)}/deny`);
export const reportFraud = (id, promptId) => send("POST", `${prompt(id, promptId)}/fraud`);
export const dismiss = (id, promptId) => send("DELETE", prompt(id, promptId));

const call = (id) => `/carrier/calls/${encodeURIComponent(id)}`;

export const answerCall = (id) => send("POST", `${call(id)}/answer`, {});
export const pressKeys = (id, keys) => send("POST", `${call(id)}/press`, { keys });
export const hangUp = (id) => send("POST", `${call(id)}/hang-up`);

/** Call `changed` with all screens, now and after every change; `lost` with whether the world is out of reach. */
export function watch(changed, lost) {
  const stream = new EventSource("/events");
  stream.addEventListener("world", (event) => changed(JSON.parse(event.data)));
  stream.addEventListener("open", () => lost(false));
  stream.addEventListener("error", () => {
    lost(true);
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => watch(changed, lost), 2000);
  });
}

/**
 * Who a page is to the settings routes: whoever signed in, by the cookie; or whoever has a registration token.
 *
 * An access is `{token, trouble, closed}`: the token if there is one, what is told of a lost connection, and what to
 * do when this opens nothing (any more).
 */

import { Problem } from "./api.js";

const CLOSED = new Set(["invalid_token", "fresh_sign_in_required"]);

/**
 * Ask by this access: `asking({token, trouble})` makes the request. Where the access is closed, its page goes on to
 * say so, and whoever waits here waits for ever.
 */
export async function through(access, asking) {
  try {
    return await asking({ token: access.token, trouble: access.trouble });
  } catch (error) {
    if (!(error instanceof Problem && CLOSED.has(error.code))) throw error;
    access.closed(error);
    return new Promise(() => {});
  }
}

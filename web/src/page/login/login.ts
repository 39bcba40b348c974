// SPDX-License-Identifier: Apache-2.0

import { address, ApiError, call, inWords, login, returnKey } from "../../api/client";
import { applyTheme } from "../../part/theme";
import "../../style/base.css";
import "../../style/tokens.css";
import "./login.css";

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

const say = element("say");
const form = element<HTMLFormElement>("form");
const field = element<HTMLInputElement>("token");
const problem = element("problem");

/** Goes where the reader wanted to, within this site only. */
function enter(): void {
  const wanted = sessionStorage.getItem(returnKey) ?? "/";
  sessionStorage.removeItem(returnKey);
  location.replace(/^\/(?![/\\])/.test(wanted) ? wanted : "/");
}

function ask(why: string): void {
  say.textContent = why;
  form.hidden = false;
  field.focus();
}

function words(err: unknown, wrong: string): string {
  if (err instanceof ApiError && err.status === 401) return wrong;
  return inWords(err);
}

async function start(): Promise<void> {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const code = fragment.get("code");
  // The server sends a reader without a session here and says where to go on.
  const to = fragment.get("to");
  if (to) sessionStorage.setItem(returnKey, to);
  if (!code) {
    // A browser does not send the session along with a link from outside; whoever has one goes on.
    if (await call(address("session")).then(() => true, () => false)) {
      enter();
      return;
    }
    ask("Log in with the link that tallyman printed when it started, or with the token.");
    return;
  }
  // The code must not stay in the history of the browser.
  history.replaceState(null, "", location.pathname);
  try {
    await login({ code });
    enter();
  } catch (err) {
    ask(words(err, "This link has been used or is too old. Log in with the token, or restart tallyman for a new link."));
  }
}

form.addEventListener("submit", (e) => {
  e.preventDefault();
  problem.textContent = "";
  login({ token: field.value.trim() }).then(enter, (err: unknown) => {
    problem.textContent = words(err, "This is not the token of this tallyman.");
    field.select();
  });
});

// A link that is opened while the page shows changes the fragment only.
addEventListener("hashchange", () => void start());
applyTheme();
void start();

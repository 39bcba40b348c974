// SPDX-License-Identifier: Apache-2.0

import { brokeOff, reach } from "./reach";
import { type AnswerOf, type Path, type QueryOf, root, type Route } from "./route";
import type { Credentials, Failure } from "./schema";

/** Where the login page finds the address to go back to. */
export const returnKey = "tallyman.return";

/** Where the Servers page keeps the names of its last visit. */
export const namesKey = "tallyman.names";

/** An answer that is an error, in the server's words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** What to try next. */
    readonly next: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** Parameters of a query; what is undefined is left out, a list is repeated. */
export type Query = Record<string, string | number | boolean | string[] | undefined>;

/** The address of an API route with its parameters. */
export function address(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) params.append(key, String(one));
  }
  const text = params.toString();
  return root + path + (text && "?" + text);
}

/** Calls the API; throws an ApiError for an error and a TypeError when nothing answers. */
export async function call(url: string, init?: RequestInit): Promise<Response> {
  const answer = await fetch(url, { ...init, headers: { Accept: "application/json", ...init?.headers } });
  if (answer.ok) return answer;
  let code = "error";
  let message = `tallyman answered ${answer.status} ${answer.statusText}`.trim() + ".";
  let next = "";
  try {
    const body = (await answer.json()) as Partial<Failure>;
    code = body.error?.code ?? code;
    message = body.error?.message ?? message;
    next = body.error?.next ?? "";
  } catch {
    // A proxy between us and tallyman answers in its own form; the status has to do.
  }
  throw new ApiError(answer.status, code, message, next);
}

/** Asks a route of the API. */
export async function get<R extends Route>(path: Path<R>, query: QueryOf<R>, signal?: AbortSignal): Promise<AnswerOf<R>> {
  try {
    return await reach(async () => (await call(address(path, query), { signal })).json() as Promise<AnswerOf<R>>);
  } catch (err) {
    if (err instanceof ApiError && err.status === 401) toLogin();
    throw err;
  }
}

/** Leaves for the login page, which comes back to the present address. */
export function toLogin(): void {
  sessionStorage.setItem(returnKey, location.pathname + location.search);
  location.assign("/login");
}

export const servers = (signal?: AbortSignal) => get<"servers">("servers", {}, signal);

export const doctor = (signal?: AbortSignal) => get<"doctor">("doctor", {}, signal);

export const session = () => get<"session">("session", {});

export const container = (ref: string, host: string, signal?: AbortSignal) => get<"containers/{ref}">(`containers/${encodeURIComponent(ref)}`, { host }, signal);

export const why = (container: string, at: number, signal?: AbortSignal) => get<"why">("why", { container, at }, signal);

export const history = (query: QueryOf<"history">, signal?: AbortSignal) => get<"history">("history", query, signal);

export const watched = (host: string, signal?: AbortSignal) => get<"watched">("watched", { host }, signal);

export const events = (query: QueryOf<"events">, signal?: AbortSignal) => get<"events">("events", query, signal);

/** Changes something over the API; an answer of 401 leads to the login. */
export async function change(method: "POST" | "DELETE", path: string, body?: unknown): Promise<unknown> {
  try {
    const answer = await call(address(path), { method, headers: body === undefined ? {} : { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });
    return await answer.json();
  } catch (err) {
    if (err instanceof ApiError && err.status === 401) toLogin();
    throw err;
  }
}

/** Logs in with the code of a one-time link or with the token. */
export async function login(secret: { code: string } | { token: string }): Promise<void> {
  await call(address("login"), { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(secret satisfies Credentials) });
}

/** Logs out and goes to the login page. */
export async function logout(): Promise<void> {
  await call(address("logout"), { method: "POST" });
  sessionStorage.removeItem(returnKey);
  localStorage.removeItem(namesKey);
  location.assign("/login");
}

/** Said when nothing answers. */
export const silent = "tallyman does not answer.";

/** What went wrong, as sentences for the page. */
export function inWords(err: unknown): string {
  if (err instanceof ApiError) return err.next ? `${err.message} ${err.next}` : err.message;
  if (brokeOff(err)) return silent;
  return err instanceof Error ? err.message : String(err);
}

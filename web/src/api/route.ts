// SPDX-License-Identifier: Apache-2.0

import type { paths } from "./schema";

// What the OpenAPI document says of the routes that the page asks. The compiler
// holds every question and what is made of its answer against it.

/** What the paths of tallyman's own routes begin with. */
export const root = "/api/tallyman/v1/";

type Routes = {
  [P in keyof paths as paths[P] extends { get: unknown } ? (P extends `${typeof root}${infer Rest}` ? Rest : never) : never]: paths[P]["get"];
};

/** A route that answers a question, without what all begin with. */
export type Route = keyof Routes;

/** The path of a route, its names in braces replaced. */
export type Path<R extends string> = R extends `${infer Before}{${string}}${infer Behind}` ? `${Before}${string}${Behind}` : R;

type Given<R extends Route> = Routes[R] extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never;

/** The parameters of a route. */
export type QueryOf<R extends Route> = [Given<R>] extends [never] ? Record<string, never> : Given<R>;

/** What a route answers. */
export type AnswerOf<R extends Route> = Routes[R] extends { responses: { 200: { content: { "application/json": infer A } } } } ? A : never;

/** What comes over the live stream. */
export type Message = Routes["live"]["responses"][200]["content"]["text/event-stream"][number];

/** What a message has to say. */
export type DataOf<Event extends Message["event"]> = Extract<Message, { event: Event }>["data"];

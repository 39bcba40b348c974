// SPDX-License-Identifier: Apache-2.0

import { batch, signal } from "@preact/signals";
import { ApiError, inWords } from "../api/client";
import { type Entry, lines, nanos, Tail } from "../api/loki";
import { Together } from "../api/together";
import type { Hole } from "./rows";

const page = 500;
// More lines than these are not kept: of a followed log the oldest go, of one that is read the newest wait.
const mostFollowed = 10_000;
const mostKept = 40_000;
// Lines that come in are taken together: the first after a rest waits so long for others, those that follow longer.
const gather = 120;
const apart = 800;
// More than so many at once cannot be read anyhow.
const mostAtOnce = 3000;

/** What to show: a query within a range that ends now or stays. */
export interface Wanted {
  query: string;
  from: number;
  /** undefined: the range ends now, and new lines are followed. */
  to: number | undefined;
  /** The moment to show the lines around; else it is the end of the range. */
  at: number | undefined;
  /** The query of notes that lines are missing, where the other leaves them out. */
  gaps?: string | undefined;
}

/** Nanoseconds as text, moved by so many. */
export function moved(ns: string, by: bigint): string {
  return String(BigInt(ns) + by);
}

/** Puts lines into a sorted list; what is there already is left out. */
export function merge(have: readonly Entry[], more: readonly Entry[]): Entry[] {
  if (more.length === 0) return [...have];
  const out = [...have];
  for (const e of more) {
    let at = out.length;
    while (at > 0 && out[at - 1]!.ns > e.ns) at--;
    let same = false;
    for (let i = at - 1; i >= 0 && out[i]!.ns === e.ns; i--) {
      if (out[i]!.line === e.line && out[i]!.source === e.source) same = true;
    }
    if (!same) out.splice(at, 0, e);
  }
  return out;
}

/** Lines and the notes of missing ones between them; those beyond the first and last only where no more lines are to come. */
export function withGaps(have: readonly Entry[], gaps: readonly Entry[], older: boolean, newer: boolean): readonly Entry[] {
  const [first, last] = [have[0], have.at(-1)];
  if (!first || !last || gaps.length === 0) return have;
  return merge(have, gaps.filter((g) => (!older || g.ns >= first.ns) && (!newer || g.ns <= last.ns)));
}

/** The same for lines that are known to come before all others. */
export function before(have: readonly Entry[], more: readonly Entry[]): Entry[] {
  const edge = have[0];
  if (!edge) return [...more];
  const twice = (e: Entry) => {
    if (e.ns > edge.ns) return true;
    if (e.ns < edge.ns) return false;
    for (const h of have) {
      if (h.ns !== e.ns) return false;
      if (h.line === e.line && h.source === e.source) return true;
    }
    return false;
  };
  return [...more.filter((e) => !twice(e)), ...have];
}

/** As many lines of one moment are asked for at most; what is beyond is passed over. */
const mostOfMoment = 5000;

/**
 * The next page of lines. It begins with the moment at which the lines that are there end, since not all of that moment may be there;
 * where a page has nothing else than what is there already, more of that moment are asked for, and at last what lies beyond it.
 */
export async function beyond(
  have: () => readonly Entry[],
  ask: (limit: number) => Promise<Entry[]>,
  skip: () => Promise<Entry[]>,
  join: (have: readonly Entry[], found: readonly Entry[]) => Entry[],
): Promise<{ all: Entry[]; more: boolean }> {
  for (let limit = page; ; limit = Math.min(limit * 4, mostOfMoment)) {
    const found = await ask(limit);
    const all = join(have(), found);
    if (found.length < limit) return { all, more: false };
    if (all.length > have().length) return { all, more: true };
    if (limit === mostOfMoment) break;
  }
  const found = await skip();
  return { all: join(have(), found), more: found.length >= page };
}

/** The moment around which lines are wanted; none where it lies outside of the range. */
export function momentOf({ from, to, at }: Pick<Wanted, "from" | "to" | "at">): number | undefined {
  return at !== undefined && at > from && (to === undefined || at < to) ? at : undefined;
}

/** The lines of a query that are loaded, oldest first, and the ways to more of them. */
export class LogLines {
  readonly entries = signal<Entry[]>([]);
  readonly loaded = signal(false);
  /** Whether others are asked for: those that are here are still the ones before. */
  readonly late = signal(false);
  /** Whether there are more lines before the first, or behind the last of those here. */
  readonly older = signal(false);
  readonly newer = signal(false);
  /** Lines that came faster than they could be sent or shown. */
  readonly holes = signal<Hole[]>([]);
  readonly problem = signal<ApiError | Error | undefined>(undefined);
  /** Rises when the lines are others than before, not more of them. */
  readonly turn = signal(0);
  /** Where to look after a turn. */
  wanted: Wanted = { query: "", from: 0, to: undefined, at: undefined };
  /** Whether the reader is at the end and sees what comes; the list says so. */
  followed = true;
  /** Is told of every line that comes in. */
  arrived: ((e: readonly Entry[]) => void) | undefined;

  /** Whether the frame hears how the tail is. */
  tells = true;

  private tail: Tail | undefined;
  private loading: AbortController | undefined;
  private paging = false;
  private pending: Entry[] = [];
  private readonly together = new Together(gather, apart);

  /** Shows other lines; those before stay until these have come. */
  async show(w: Wanted): Promise<void> {
    this.stop();
    this.wanted = w;
    this.late.value = true;
    const stop = (this.loading = new AbortController());
    const end = this.end();
    const start = nanos(w.from);
    try {
      let found: Entry[];
      let older = false;
      let newer = false;
      const at = momentOf(w);
      if (at !== undefined) {
        const middle = nanos(at);
        const [a, b] = await Promise.all([
          lines({ query: w.query, start, end: middle, limit: page / 2 }, stop.signal),
          lines({ query: w.query, start: middle, end, limit: page / 2, forward: true }, stop.signal),
        ]);
        found = merge(a, b);
        older = a.length >= page / 2;
        newer = b.length >= page / 2;
      } else {
        found = await lines({ query: w.query, start, end, limit: page }, stop.signal);
        older = found.length >= page;
      }
      if (stop.signal.aborted) return; // others are wanted since
      batch(() => {
        this.entries.value = found;
        this.older.value = older;
        this.newer.value = newer;
        this.holes.value = [];
        this.problem.value = undefined;
        this.loaded.value = true;
        this.late.value = false;
        this.turn.value++;
      });
      if (w.to === undefined) this.follow();
    } catch (err) {
      if (stop.signal.aborted) return;
      batch(() => {
        this.problem.value = err instanceof Error ? err : new Error(inWords(err));
        this.entries.value = [];
        this.older.value = this.newer.value = false;
        this.loaded.value = true;
        this.late.value = false;
        this.turn.value++;
      });
    }
  }

  stop(): void {
    this.loading?.abort();
    this.tail?.stop();
    this.tail = undefined;
    this.together.drop();
    this.pending = [];
    this.paging = false;
  }

  // A clock that is behind the server's must not hide the newest lines.
  private end(): string {
    return nanos(this.wanted.to ?? Date.now() + 3_600_000);
  }

  private follow(): void {
    const tail = (this.tail = new Tail(
      this.wanted.query,
      () => this.entries.peek().at(-1)?.ns ?? nanos(Math.max(this.wanted.from, Date.now() - 60_000)),
      (found, dropped) => {
        if (this.tail !== tail) return;
        if (dropped) this.left(dropped, this.pending.at(-1)?.ns);
        if (this.pending.length === 0 && found.length > 0) this.together.add(() => this.flush());
        this.pending.push(...found);
      },
      () => {
        // A reader who is not at the end stays where he is; what is missing is loaded when he gets there.
        if (this.followed) void this.show(this.wanted);
        else {
          this.newer.value = true;
          tail.start();
        }
      },
      this.tells,
    ));
    tail.start();
  }

  private left(n: number, after: string | undefined): void {
    this.holes.value = [...this.holes.peek().slice(-50), { ns: after ?? this.entries.peek().at(-1)?.ns ?? "0", n }];
  }

  private flush(): void {
    let found = this.pending;
    this.pending = [];
    if (this.newer.peek()) {
      this.arrived?.(found); // they are loaded when the reader gets there
      return;
    }
    const have = this.entries.peek();
    batch(() => {
      if (found.length > mostAtOnce) {
        this.left(found.length - mostAtOnce, undefined);
        found = found.slice(-mostAtOnce);
      }
      if (!this.followed && have.length + found.length > mostKept) {
        this.newer.value = true;
        return;
      }
      const all = merge(have, found);
      const fresh = new Set(all);
      this.arrived?.(found.filter((e) => fresh.has(e)));
      if (this.followed && all.length > mostFollowed) {
        this.entries.value = all.slice(all.length - mostFollowed);
        this.older.value = true;
      } else this.entries.value = all;
    });
  }

  async loadOlder(): Promise<void> {
    const first = this.entries.peek()[0];
    if (this.paging || !first || !this.older.peek()) return;
    this.paging = true;
    const { signal } = this.loading ?? new AbortController();
    try {
      const { query, from } = this.wanted;
      const start = nanos(from);
      const { all, more } = await beyond(
        () => this.entries.peek(),
        (limit) => lines({ query, start, end: moved(first.ns, 1n), limit }, signal),
        () => lines({ query, start, end: first.ns, limit: page }, signal),
        before,
      );
      if (signal.aborted) return;
      batch(() => {
        this.older.value = more;
        if (all.length > mostKept) {
          all.length = mostKept;
          this.newer.value = true;
        }
        this.entries.value = all;
      });
    } catch {
      // The next turn of the wheel tries again.
    } finally {
      if (!signal.aborted) this.paging = false;
    }
  }

  async loadNewer(): Promise<void> {
    const end = this.entries.peek().at(-1);
    if (this.paging || !end || !this.newer.peek()) return;
    this.paging = true;
    const { signal } = this.loading ?? new AbortController();
    try {
      const { query } = this.wanted;
      const { all, more } = await beyond(
        () => this.entries.peek(),
        (limit) => lines({ query, start: end.ns, end: this.end(), limit, forward: true }, signal),
        () => lines({ query, start: moved(end.ns, 1n), end: this.end(), limit: page, forward: true }, signal),
        merge,
      );
      if (signal.aborted) return;
      batch(() => {
        this.newer.value = more;
        if (all.length > mostKept) {
          all.splice(0, all.length - mostKept);
          this.older.value = true;
        }
        this.entries.value = all;
      });
    } catch {
      // The next turn of the wheel tries again.
    } finally {
      if (!signal.aborted) this.paging = false;
    }
  }
}

/** What a note of missing lines says. */
export function gapText(e: Entry): string {
  return e.line.replace(/^tallyman: /, "");
}

/** The time of a line to the nanosecond, in UTC. */
export function exactTime(ns: string): string {
  return `${new Date(Number(BigInt(ns) / 1_000_000n)).toISOString().slice(0, 19)}.${ns.slice(-9)}Z`;
}

// SPDX-License-Identifier: Apache-2.0

/** How long after a try that broke off the next one begins, in milliseconds. */
export const pauses = [150, 850];

/** Whether an error says that nothing answered, or that the answer broke off. */
export const brokeOff = (err: unknown) => err instanceof TypeError;

/**
 * Asks again when an answer breaks off. A browser drops all that is under way
 * when a network interface of its machine comes or goes, which on a Docker host
 * happens with each container. Only for questions that change nothing.
 */
export async function reach<T>(ask: () => Promise<T>, again: (err: unknown) => boolean = brokeOff): Promise<T> {
  for (const pause of pauses) {
    try {
      return await ask();
    } catch (err) {
      if (!again(err)) throw err;
    }
    await new Promise((done) => setTimeout(done, pause));
  }
  return ask();
}

// Style sheets that did not come, by their address. The bundler's own loader takes them for loaded the second time.
const broken = new Map<string, HTMLLinkElement>();

/** Notes style sheets that do not come, for fetchPart. */
export function noteBroken(): void {
  addEventListener(
    "error",
    (e) => {
      if (e.target instanceof HTMLLinkElement && e.target.rel === "stylesheet") broken.set(e.target.href, e.target);
    },
    true,
  );
}

function styleAgain(link: HTMLLinkElement): Promise<void> {
  const next = link.cloneNode() as HTMLLinkElement;
  return new Promise((done, failed) => {
    next.addEventListener("load", () => {
      broken.delete(next.href);
      done();
    });
    next.addEventListener("error", () => failed(new TypeError(`${next.href} did not come`)));
    link.replaceWith(next);
  });
}

/** Loads a part of the page with its styles; what does not come is asked for again. */
export function fetchPart<T>(load: () => Promise<T>): Promise<T> {
  return reach(
    async () => {
      const got = await load();
      await Promise.all([...broken.values()].map(styleAgain));
      return got;
    },
    () => true,
  );
}

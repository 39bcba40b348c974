// SPDX-License-Identifier: Apache-2.0

import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { defineConfig, type Plugin } from "vite";

type Weight = { js: number; css: number };

// What the first page may weigh, and what a page may add to it that comes when
// it is first opened, minified, in bytes. Raising one is a reviewed line with a reason.
const budget: Record<string, Weight> = {
  "first page": { js: 150_000, css: 20_000 },
  "overview page, more": { js: 62_000, css: 9_000 }, // with the folding of events, the counts of records and the settings of siblings, which other pages share
  "container page, more": { js: 110_000, css: 10_000 },
  "past page, more": { js: 20_000, css: 4_000 }, // Servers over a range
  "compare page, more": { js: 100_000, css: 9_500 }, // charts
  "changes page, more": { js: 24_000, css: 6_000 },
  "explore page, more": { js: 118_000, css: 12_000 }, // charts, of which 87 kB are, completion and the asking of both languages
  "host page, more": { js: 130_000, css: 11_000 }, // charts as on the page of a container, and what is judged of them
  "doctor page, more": { js: 20_000, css: 6_000 },
  "logs page, more": { js: 66_000, css: 12_500 }, // with lines of JSON and logfmt as they are read, and columns of their fields
  "patterns page, more": { js: 12_000, css: 2_000 }, // of Logs
  "events page, more": { js: 50_000, css: 12_000 },
  "configuration page, more": { js: 40_000, css: 10_000 },
  "services page, more": { js: 24_000, css: 7_000 },
  "alarms page, more": { js: 17_000, css: 5_000 }, // with how often a rule would have fired, and what three pages do without an answer
};

// The first page is index.html with everything that it names; the others are
// chunks of their own, with the parts that they share.
function weigh(): Plugin {
  let out = "";
  const parts: Record<string, string[]> = {};
  return {
    name: "weigh",
    apply: "build",
    configResolved(config) {
      out = resolve(config.root, config.build.outDir);
    },
    generateBundle(_, bundle) {
      const walk = (file: string, into: Set<string>) => {
        const chunk = bundle[file];
        if (into.has(file) || chunk?.type !== "chunk") return;
        into.add(file);
        for (const css of chunk.viteMetadata?.importedCss ?? []) into.add(css);
        for (const other of chunk.imports) walk(other, into);
      };
      for (const page of Object.keys(budget)) {
        const files = new Set<string>();
        walk(`assets/${page.split(" ")[0]}.js`, files);
        parts[page] = [...files];
      }
    },
    closeBundle() {
      const html = readFileSync(join(out, "index.html"), "utf8");
      const first = new Set([...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.(?:js|css))"/g)].map(([, file]) => file!));
      for (const [page, most] of Object.entries(budget)) {
        const files = page === "first page" ? [...first] : parts[page]!.filter((f) => !first.has(f) && existsSync(join(out, f))); // a chunk that was a style sheet alone is no file
        for (const kind of ["js", "css"] as const) {
          const size = files.filter((f) => f.endsWith("." + kind)).reduce((n, f) => n + statSync(join(out, f)).size, 0);
          const line = `${page} ${kind}: ${(size / 1000).toFixed(1)} kB of ${most[kind] / 1000} kB`;
          if (size === 0 || size > most[kind]) throw new Error(`budget missed: ${line}`);
          console.log(line);
        }
      }
    },
  };
}

// The product answers /login with login.html; the development server has to be told.
function loginPage(): Plugin {
  return {
    name: "login-page",
    apply: "serve",
    configureServer(server) {
      server.middlewares.use((req, _res, next) => {
        if (req.url === "/login") req.url = "/login.html";
        next();
      });
    },
  };
}

export default defineConfig({
  plugins: [weigh(), loginPage()],
  build: {
    target: "es2022",
    // light-dark() as written: the page needs browsers of 2024 anyhow (popover, dialog).
    cssTarget: ["chrome123", "firefox125", "safari17.5"],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { index: resolve(import.meta.dirname, "index.html"), login: resolve(import.meta.dirname, "login.html") },
      output: {
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  server: { proxy: { "/api": process.env.TALLYMAN_URL ?? "http://127.0.0.1:8420" } },
});

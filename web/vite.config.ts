// SPDX-License-Identifier: Apache-2.0

import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { defineConfig, type Plugin } from "vite";

type Weight = { js: number; css: number };

// What the first page may weigh, and what a page may add to it that comes when
// it is first opened, minified, in bytes. Raising one is a reviewed line with a reason.
const budget: Record<string, Weight> = {
  "first page": { js: 150_000, css: 20_000 },
  "container page, more": { js: 110_000, css: 10_000 },
  "doctor page, more": { js: 20_000, css: 6_000 },
};

// The first page is index.html with everything that it names; the others are
// chunks of their own.
function weigh(): Plugin {
  let out = "";
  return {
    name: "weigh",
    apply: "build",
    configResolved(config) {
      out = resolve(config.root, config.build.outDir);
    },
    closeBundle() {
      const html = readFileSync(join(out, "index.html"), "utf8");
      const size = (file: string) => statSync(join(out, file)).size;
      const first: Weight = { js: 0, css: 0 };
      for (const [, file, kind] of html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.(js|css))"/g)) first[kind as keyof Weight] += size(file!);
      const more = (name: string): Weight => ({ js: size(`assets/${name}.js`), css: size(`assets/${name}.css`) });
      const sizes: Record<string, Weight> = { "first page": first, "container page, more": more("container"), "doctor page, more": more("doctor") };
      for (const [page, most] of Object.entries(budget)) {
        for (const kind of ["js", "css"] as const) {
          const line = `${page} ${kind}: ${(sizes[page]![kind] / 1000).toFixed(1)} kB of ${most[kind] / 1000} kB`;
          if (sizes[page]![kind] === 0 || sizes[page]![kind] > most[kind]) throw new Error(`budget missed: ${line}`);
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

// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { session } from "../api/client";
import { startClock } from "../part/clock";
import { Frame } from "../part/frame";
import { listen } from "../part/keys";
import { auth, version } from "../part/pages";
import { follow, place } from "../part/place";
import { applyTheme } from "../part/theme";
import type { ContainerPage } from "./container";
import { NotFound } from "./notfound";
import { ServersPage } from "./servers";
import "../style/tokens.css";
import "../style/base.css";
import "../style/frame.css";
import "../style/servers.css";

const container = signal<typeof ContainerPage | undefined>(undefined);

const missing = signal(false);

// The charts come with the first container that is opened.
function loadContainer(): void {
  missing.value = false;
  import("./container").then(
    (m) => {
      container.value = m.ContainerPage;
    },
    () => {
      missing.value = true;
    },
  );
}

function Loading() {
  useEffect(loadContainer, []);
  return (
    <Frame title="Container" crumb={<b>Container</b>} range={null} mainClass="pad">
      {missing.value && (
        <section class="empty">
          <h1>This page could not be loaded</h1>
          <p>tallyman does not answer.</p>
          <p>
            <button type="button" class="btn" onClick={loadContainer}>Try again</button>
          </p>
        </section>
      )}
    </Frame>
  );
}

function App() {
  const { path, params } = place.value;
  if (path === "/") return <ServersPage />;
  const host = params.get("host");
  const workload = params.get("workload");
  if (path === "/container" && host && workload) {
    const id = params.get("id") ?? undefined;
    const Page = container.value;
    if (!Page) return <Loading />;
    return <Page key={`${host} ${workload} ${id}`} host={host} workload={workload} id={id} />;
  }
  return <NotFound />;
}

applyTheme();
startClock();
follow();
listen();
render(<App />, document.getElementById("app")!);
// Asking early finds out about a missing login before the first page is filled; the pages report what else is wrong.
session().then((s) => {
  auth.value = s.auth;
  version.value = s.version;
}, () => undefined);

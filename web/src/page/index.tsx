// SPDX-License-Identifier: Apache-2.0

import { render } from "preact";
import { session } from "../api/client";
import { startClock } from "../part/clock";
import { listen } from "../part/keys";
import { auth } from "../part/pages";
import { follow, place } from "../part/place";
import { applyTheme } from "../part/theme";
import { ContainerPage } from "./container";
import { NotFound } from "./notfound";
import { ServersPage } from "./servers";
import "../style/tokens.css";
import "../style/base.css";
import "../style/frame.css";
import "../style/servers.css";
import "../style/container.css";

function App() {
  const { path, params } = place.value;
  if (path === "/") return <ServersPage />;
  const host = params.get("host");
  const workload = params.get("workload");
  if (path === "/container" && host && workload) {
    const id = params.get("id") ?? undefined;
    return <ContainerPage key={`${host} ${workload} ${id}`} host={host} workload={workload} id={id} />;
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
}, () => undefined);

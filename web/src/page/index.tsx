// SPDX-License-Identifier: Apache-2.0

import "../style/tokens.css";
import "../style/base.css";
import "../style/frame.css";
import { type ComponentType, render } from "preact";
import { session } from "../api/client";
import { noteBroken } from "../api/reach";
import { startClock } from "../part/clock";
import { Frame } from "../part/frame";
import { watchFiring } from "../part/firing";
import { listen } from "../part/keys";
import { later } from "../part/later";
import { auth, version } from "../part/pages";
import { become, follow, place } from "../part/place";
import { applyTheme } from "../part/theme";
import { NotFound } from "./notfound/notfound";
import { ServersPage } from "./servers/servers";

/** A page whose code comes when it is first opened. */
function page<P extends object>(title: string, load: () => Promise<ComponentType<P>>) {
  return later(load, ({ missing, again }) => (
    <Frame title={title} crumb={<b>{title}</b>} range={null} mainClass="pad">
      {missing && (
        <section class="empty">
          <h1>This page could not be loaded</h1>
          <p>tallyman does not answer.</p>
          <p>
            <button type="button" class="btn" onClick={again}>Try again</button>
          </p>
        </section>
      )}
    </Frame>
  ));
}

const OverviewPage = page("Overview", () => import("./overview/overview").then((m) => m.OverviewPage));
const ContainerPage = page("Container", () => import("./container/container").then((m) => m.ContainerPage));
const ComparePage = page("Compare", () => import("./compare/compare").then((m) => m.ComparePage));
const ChangesPage = page("What changed", () => import("./changes/changes").then((m) => m.ChangesPage));
const ExplorePage = page("Explore", () => import("./explore/explore").then((m) => m.ExplorePage));
const HostPage = page("Host", () => import("./host/host").then((m) => m.HostPage));
const AlarmsPage = page("Alarms", () => import("./alarms/alarms").then((m) => m.AlarmsPage));
const ServicesPage = page("Services", () => import("./services/services").then((m) => m.ServicesPage));
const DoctorPage = page("Doctor", () => import("./doctor/doctor").then((m) => m.DoctorPage));
const LogsPage = page("Logs", () => import("./logs/logs").then((m) => m.LogsPage));
const EventsPage = page("Events", () => import("./events/events").then((m) => m.EventsPage));
const ConfigurationPage = page("Configuration", () => import("./configuration/configuration").then((m) => m.ConfigurationPage));

function App() {
  const { path, params } = place.value;
  // The root becomes one of the two, which the first of them decides.
  if (path === "/" || path === "/overview") return <OverviewPage />;
  if (path === "/servers") return <ServersPage />;
  if (path === "/compare") return <ComparePage />;
  if (path === "/changes") return <ChangesPage />;
  if (path === "/explore") return <ExplorePage />;
  if (path === "/alarms") return <AlarmsPage />;
  if (path === "/services") return <ServicesPage />;
  if (path === "/doctor") return <DoctorPage />;
  if (path === "/logs") return <LogsPage />;
  if (path === "/events") return <EventsPage />;
  if (path === "/configuration") return <ConfigurationPage />;
  const host = params.get("host");
  if (path === "/host") return <HostPage key={host ?? ""} host={host ?? ""} />;
  const workload = params.get("workload");
  if (path === "/container" && host && workload) {
    const id = params.get("id") ?? undefined;
    return <ContainerPage key={`${host} ${workload} ${id}`} host={host} workload={workload} id={id} />;
  }
  return <NotFound />;
}

applyTheme();
noteBroken();
startClock();
watchFiring();
follow();
// Links from when Servers was the root say what to show of it.
if (place.peek().path === "/" && place.peek().params.size > 0) become("/servers");
listen();
render(<App />, document.getElementById("app")!);
// Asking early finds out about a missing login before the first page is filled; the pages report what else is wrong.
session().then((s) => {
  auth.value = s.auth;
  version.value = s.version;
}, () => undefined);

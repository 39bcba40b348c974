// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import type { IconName } from "./icon";

/** A page with an entry in the rail. */
export interface Page {
  href: string;
  label: string;
  icon: IconName;
  /** The second key after g. */
  key: string;
  /** Whether a path lies under this page. */
  holds(path: string): boolean;
  /** It stands at the foot of the rail. */
  foot?: boolean;
  /** On a phone it stands behind what is needed more often. */
  late?: boolean;
}

/** The pages there are; the rail, the palette and the keys follow from it. */
export const pages: readonly Page[] = [
  { href: "/overview", label: "Overview", icon: "overview", key: "o", holds: (path) => path === "/overview" },
  { href: "/servers", label: "Servers", icon: "servers", key: "s", holds: (path) => path === "/servers" || path === "/container" || path === "/compare" || path === "/changes" },
  { href: "/logs", label: "Logs", icon: "logs", key: "l", holds: (path) => path === "/logs" },
  { href: "/events", label: "Events", icon: "events", key: "e", holds: (path) => path === "/events" },
  { href: "/configuration", label: "Config", icon: "config", key: "c", holds: (path) => path === "/configuration" },
  { href: "/alarms", label: "Alarms", icon: "alarm", key: "a", holds: (path) => path === "/alarms" },
  { href: "/services", label: "Services", icon: "container", key: "v", holds: (path) => path === "/services" },
  { href: "/host", label: "Host", icon: "host", key: "h", holds: (path) => path === "/host" },
  { href: "/explore", label: "Explore", icon: "explore", key: "x", holds: (path) => path === "/explore", late: true },
  { href: "/doctor", label: "Doctor", icon: "doctor", key: "d", holds: (path) => path === "/doctor", foot: true },
];

/** What the server said of the session; the frame warns when no login is asked for. */
export const auth = signal(true);

/** The version of the tallyman that answers. */
export const version = signal("");

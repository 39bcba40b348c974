// SPDX-License-Identifier: Apache-2.0

import { useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { logout } from "../api/client";
import { stream, tryNow } from "../api/live";
import { counted } from "../format/number";
import { show } from "../format/text";
import { hms, staleFor } from "../format/time";
import { clock, narrow } from "./clock";
import { firing, told } from "./firing";
import { Icon } from "./icon";
import { everywhere, KeyMap, openKeyMap } from "./keymap";
import { useKeys } from "./keys";
import { notice } from "./notice";
import { auth, type Page, pages } from "./pages";
import { openPalette, Palette } from "./palette";
import { go, kept, place } from "./place";
import { switchTheme, theme } from "./theme";

let first = true;

/** What every page has around it: rail, top bar, banners, palette and key map. */
export function Frame(props: { title: string; crumb: ComponentChildren; range: ComponentChildren; mainClass: string; children: ComponentChildren }) {
  const main = useRef<HTMLElement>(null);
  const alarms = told.value.length;
  useEffect(() => {
    document.title = `${alarms ? `(${alarms}) ` : ""}${props.title} · tallyman`;
  }, [props.title, alarms]);
  // Another page starts at its content, as it would after a load.
  useEffect(() => {
    if (!first) main.current?.focus({ preventScroll: true });
    first = false;
  }, []);
  useKeys(everywhere, [
    { keys: ["?"], label: "This map", run: openKeyMap },
    ...pages.map((p) => ({ keys: [`g ${p.key}`], label: p.label, run: () => go(p.href) })),
  ]);
  useEffect(() => {
    const jump = (e: KeyboardEvent) => {
      if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === "k") {
        e.preventDefault();
        openPalette();
      }
    };
    addEventListener("keydown", jump);
    return () => removeEventListener("keydown", jump);
  }, []);

  return (
    <div class={stream.value.phase === "stale" ? "frame stale" : "frame"}>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); main.current?.focus(); }}>
        Skip to content
      </a>
      <Rail />
      <header class="bar">
        <nav class="crumb" aria-label="Where you are">{props.crumb}</nav>
        <span class="grow" />
        <button type="button" class="btn jump wide" aria-haspopup="dialog" onClick={openPalette}>
          <Icon name="search" />
          Jump to container, host, page…<kbd>Ctrl K</kbd>
        </button>
        <span class="grow wide" />
        {props.range}
        <ThemeButton wide />
      </header>
      <div class="body">
        <NoLogin />
        <Stale />
        <main id="main" ref={main} class={props.mainClass} tabIndex={-1}>
          {props.children}
        </main>
      </div>
      <p class="notice" role="status" hidden={notice.value === ""}>{notice.value}</p>
      <Announcer />
      <Palette />
      <KeyMap />
    </div>
  );
}

/** Whether a page stands at the end of the rail. */
const low = (p: Page) => p.foot === true || (p.late === true && narrow.value);

function Rail() {
  const path = place.value.path;
  const entry = (p: Page) => (
    <a key={p.href} class="nav" href={`${p.href}${kept(p.href).search}`} aria-current={p.holds(path) ? "page" : undefined}>
      <Icon name={p.icon} />
      {p.label}
      {p.href === "/alarms" && <Firing />}
    </a>
  );
  return (
    <nav class="rail" aria-label="Main">
      <a class="brand" href="/overview" aria-label="tallyman, overview">
        <Icon name="tally" />
      </a>
      {pages.filter((p) => !low(p)).map(entry)}
      {narrow.value && (
        <button type="button" class="nav" aria-haspopup="dialog" onClick={openPalette}>
          <Icon name="search" />
          Jump
        </button>
      )}
      {narrow.value && (
        <button type="button" class="nav" onClick={switchTheme}>
          <Icon name="theme" />
          {theme.value === "dark" ? "Light" : "Dark"}
        </button>
      )}
      <span class="end" />
      {pages.filter(low).map(entry)}
      <button type="button" class="nav wide" aria-haspopup="dialog" onClick={openKeyMap}>
        <Icon name="keys" />
        Keys
      </button>
      {auth.value && (
        <LogOut />
      )}
    </nav>
  );
}

/** On a phone, where it is near to other things, it asks. */
function LogOut() {
  const asked = useSignal(false);
  const press = () => {
    if (!narrow.value || asked.value) void logout();
    else asked.value = true;
  };
  return (
    <button type="button" class="nav" onClick={press} onBlur={() => { asked.value = false; }}>
      <Icon name="leave" />
      {asked.value ? "Sure?" : "Log out"}
    </button>
  );
}

/** How many alarms fire of which somebody is told. */
function Firing() {
  const list = told.value;
  if (list.length === 0) return null;
  const critical = list.some((a) => a.severity === "critical");
  return (
    <span class={critical ? "badge crit" : "badge"}>
      {list.length}
      <span class="sr"> {list.length === 1 ? "fires" : "fire"}{critical && ", some critical"}</span>
    </span>
  );
}

// Critical alarms that are new are read out, at most one in so long.
const announceEvery = 10_000;

function Announcer() {
  const words = useSignal("");
  const known = useRef<Set<string>>(undefined);
  const last = useRef(0);
  useSignalEffect(() => {
    const critical = told.value.filter((a) => a.severity === "critical");
    const fresh = known.current && critical.find((a) => !known.current!.has(a.id));
    if (firing.value) known.current = new Set(critical.map((a) => a.id));
    if (!fresh || Date.now() - last.current < announceEvery) return;
    last.current = Date.now();
    words.value = show(`Critical alarm: ${fresh.summary || fresh.rule}`);
  });
  return <p class="sr" role="status">{words}</p>;
}

function ThemeButton({ wide }: { wide?: boolean }) {
  const label = theme.value === "dark" ? "Light theme" : "Dark theme";
  return (
    <button type="button" class={wide ? "btn q wide" : "btn q"} aria-label={label} title={label} onClick={switchTheme}>
      <Icon name="theme" />
    </button>
  );
}

function NoLogin() {
  if (auth.value) return null;
  return (
    <div class="banner crit" role="alert">
      <span class="dot crit" />
      <span>
        <b>No login is asked for.</b> Whoever reaches this address sees everything here. Start tallyman without <code>--no-auth</code> to change that.
      </span>
    </div>
  );
}

function Stale() {
  const s = stream.value;
  if (s.phase !== "stale") return null;
  const now = clock.value;
  const next = Math.max(0, Math.ceil((s.next - now) / 1000));
  return (
    <div class="banner warn">
      <span class="dot warn" />
      <span class="grow">
        <b role="status">No answer from tallyman.</b>{" "}
        {s.last > 0 && <>Silent for {staleFor(s.last, now)}; the page shows {hms(s.last)}. </>}
        {s.next > 0 && (next > 0 ? `Next try in ${counted(next, "second")}.` : "Trying now.")}
      </span>
      <button type="button" class="btn q" onClick={() => tryNow.value?.()}>
        Try now
      </button>
    </div>
  );
}

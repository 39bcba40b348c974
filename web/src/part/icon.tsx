// SPDX-License-Identifier: Apache-2.0

const shapes = {
  tally: "M5 4v16M9.5 4v16M14 4v16M18.5 4v16M2.5 16.5l19-9",
  overview: "M4 4h7v7H4zM13 4h7v4h-7zM13 10h7v10h-7zM4 13h7v7H4z",
  servers: "M5 4h14a2 2 0 0 1 2 2v3a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2zM5 14h14a2 2 0 0 1 2 2v2a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2v-2a2 2 0 0 1 2-2zM7 7.5h.01M7 17h.01M11 7.5h6M11 17h6",
  host: "M5 5h14v10H5zM2.5 19h19M9 15v4M15 15v4M8.5 10h2l1.5-2.5 1.5 5 1-2.5h1",
  container: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  logs: "M4 6h16M4 10h10M4 14h16M4 18h7",
  events: "M3 12h4l3-7 4 14 3-7h4",
  explore: "M4 7l5 5-5 5M12 18h8",
  alarm: "M6 17v-6a6 6 0 0 1 12 0v6M4 17h16M10 20.5h4M12 3v2",
  config: "M6 3h8l4 4v14H6zM14 3v4h4M12 10v6M9 13h6",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  search: "M17.5 11a6.5 6.5 0 1 1-13 0 6.5 6.5 0 0 1 13 0zM16 16l4.5 4.5",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
  back: "M10 6l-6 6 6 6M4 12h16",
  theme: "M20 12a8 8 0 1 1-16 0 8 8 0 0 1 16 0zM12 4v16M12 8l6 0M12 12l8 0M12 16l6 0",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  filter: "M4 5h16l-6 8v6l-4-2v-4z",
  leave: "M14 4H5v16h9M10 12h11M17 8l4 4-4 4",
  doctor: "M4.5 12.5l4.5 4.5 10.5-11",
  copy: "M10 8h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-8a2 2 0 0 1-2-2v-8a2 2 0 0 1 2-2zM16 8V4H4v12h4",
  keys: "M4 6h16a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1zM7 10h.01M11 10h.01M15 10h.01M8 14h8",
} as const;

export type IconName = keyof typeof shapes;

/** A drawing beside a word; it says nothing by itself. */
export function Icon({ name, small }: { name: IconName; small?: boolean }) {
  return (
    <svg class={small ? "ic s" : "ic"} viewBox="0 0 24 24" aria-hidden="true">
      <path d={shapes[name]} />
    </svg>
  );
}

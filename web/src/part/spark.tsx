// SPDX-License-Identifier: Apache-2.0

const width = 84;
const height = 20;

/** The path of a sparkline from 0 to top; a hole stays a hole. */
export function sparkPath(values: readonly (number | null)[], top: number): { line: string; area: string } {
  const max = Math.max(top, ...values.map((v) => v ?? 0)) || 1;
  const x = (i: number) => ((i / Math.max(1, values.length - 1)) * width).toFixed(1);
  const y = (v: number) => (height - 1 - (v / max) * (height - 2)).toFixed(1);
  let line = "";
  let area = "";
  let start = -1;
  const close = (end: number) => {
    if (start >= 0) area += `L${x(end)} ${height}L${x(start)} ${height}Z`;
    start = -1;
  };
  values.forEach((v, i) => {
    if (v === null || v === undefined) {
      close(i - 1);
      return;
    }
    const point = `${x(i)} ${y(v)}`;
    line += (start < 0 ? "M" : "L") + point;
    area += (start < 0 ? "M" : "L") + point;
    if (start < 0) start = i;
  });
  close(values.length - 1);
  return { line, area };
}

/** The last 15 minutes in small. The numbers beside it say what it shows. */
export function Spark({ values, top, kind }: { values: { readonly value: readonly (number | null)[] }; top: number | undefined; kind: "cpu" | "memory" }) {
  const { line, area } = sparkPath(values.value, top ?? 0);
  return (
    <svg class={`sp ${kind}`} width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <path class="f" d={area} />
      <path d={line} />
    </svg>
  );
}

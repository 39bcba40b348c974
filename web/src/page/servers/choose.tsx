// SPDX-License-Identifier: Apache-2.0

import { chosenText } from "../../format/chosen";
import { show } from "../../format/text";
import { chosenMost, chosenTexts, compareHref, toggleChosen } from "../../part/chosen";

interface Named {
  host: string;
  workload: string;
  name: string;
}

/** Chooses a container to be compared; who does not point at its row sees only that it is chosen. */
export function Choose({ c }: { c: Named }) {
  const on = chosenTexts.value.includes(chosenText(c));
  const full = !on && chosenTexts.value.length >= chosenMost;
  return (
    <input
      type="checkbox"
      class={on ? "" : "lg"}
      checked={on}
      disabled={full}
      tabIndex={-1}
      aria-label={`Compare ${show(c.name)}`}
      title={full ? `At most ${chosenMost} are compared` : "Compare (x)"}
      data-choose
      onClick={() => toggleChosen(c)}
    />
  );
}

/** Leads to what is chosen, side by side. */
export function Compare() {
  const all = chosenTexts.value;
  return all.length > 0 ? <a class="btn" href={compareHref(all)}>Compare {all.length}</a> : null;
}

// SPDX-License-Identifier: Apache-2.0

import { Frame } from "../../part/frame";
import { Meant } from "../../part/meant";
import { place } from "../../part/place";

/** The answer to an address that is no page. */
export function NotFound() {
  return (
    <Frame title="Not found" crumb={<b>Not found</b>} range={null} mainClass="pad">
      <section class="empty">
        <h1>No such page</h1>
        <p>The address may be cut off. All containers, also those that are gone, are found from the start.</p>
        <Meant name={place.value.path.split("/").filter(Boolean).at(-1) ?? ""} />
        <p>
          <a class="btn p" href="/servers">Open Servers</a>
        </p>
      </section>
    </Frame>
  );
}

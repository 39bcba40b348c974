// SPDX-License-Identifier: Apache-2.0

import { watched } from "../api/client";
import type { Model } from "./model";

/** Finds out since when there are samples of a host. What is not known is not drawn. */
export async function findWatched(model: Model, host: string, stop: AbortSignal): Promise<void> {
  if (model.watched.peek().first !== undefined) return;
  const found = await watched(host, stop).catch(() => undefined);
  if (found && !stop.aborted) model.watched.value = found;
}

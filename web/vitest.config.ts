// SPDX-License-Identifier: Apache-2.0

import { defineConfig } from "vitest/config";

// Times are written in the reader's zone, so the tests fix one that has summer time.
export default defineConfig({ test: { include: ["src/**/*.test.ts", "schema/*.test.ts"], env: { TZ: "Europe/Berlin" } } });

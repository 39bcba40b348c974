// SPDX-License-Identifier: Apache-2.0
export function ContainerPage(_: { host: string; workload: string; id: string | undefined }) {
  return null;
}

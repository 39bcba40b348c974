// SPDX-License-Identifier: Apache-2.0

/** Interfaces behind which the others are, as a regular expression: what goes through one of these goes through a real one too, or never leaves the host. */
export const virtual = "lo|docker.*|br-.*|veth.*|virbr.*|cni.*|cali.*|flannel.*|vxlan.*|cilium.*|tun.*|tap.*|ifb.*|dummy.*|bond.*|team.*|wg.*|.*[.].*";

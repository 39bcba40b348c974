// SPDX-License-Identifier: Apache-2.0

// Package e2e drives the built program in a real browser (Debian's chromium,
// through playwright-core) over real containers. Each Go test starts containers
// and the program and then runs one walk: a script under walk/ that is told the
// addresses and names in its environment, reports each check by a line, and asks
// the test by a line for what happens outside the browser ("docker stop …").
//
// Every walk fails when a page of it asked another host, wrote an error to the
// console, broke its content security policy, or opened a dialog.
//
// Pictures of the pages go to shots/, to be looked at by people.
//
// Without Node.js, chromium, an engine, or a program with the page in it
// (TEST_UI=1 says that TEST_TALLYMAN_BINARY has it), the tests are skipped with
// the reason; with CI=true in the environment that is a failure.
package e2e

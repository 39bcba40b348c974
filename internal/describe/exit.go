// SPDX-License-Identifier: Apache-2.0

package describe

import "strconv"

// killed is what it means for a program that a signal has ended it, by the signal's number.
var killed = map[int]struct{ name, meaning string }{
	1:  {"SIGHUP", "what it belonged to went away"},
	2:  {"SIGINT", "it was interrupted, as by Ctrl-C"},
	3:  {"SIGQUIT", "it was told to quit"},
	4:  {"SIGILL", "it ran an instruction that this processor does not know"},
	5:  {"SIGTRAP", "it ran into a trap, as of a debugger"},
	6:  {"SIGABRT", "it gave up by itself, as after a check that failed"},
	7:  {"SIGBUS", "it used memory that is not there"},
	8:  {"SIGFPE", "it calculated what cannot be, as a division by zero"},
	9:  {"SIGKILL", "it was ended at once, and could not finish anything"},
	11: {"SIGSEGV", "it used memory that is not its own"},
	13: {"SIGPIPE", "it wrote to somebody who was gone"},
	14: {"SIGALRM", "its own alarm clock rang"},
	15: {"SIGTERM", "it was told to end"},
	24: {"SIGXCPU", "it used up the time that it may compute"},
	25: {"SIGXFSZ", "it wrote a file larger than it may"},
	31: {"SIGSYS", "it asked the kernel for what it may not ask for (seccomp)"},
}

// Exit is what an exit code says: the signal that ended the program, or why it did not
// begin. It is empty for 0, and for codes that mean what the program meant by them.
func Exit(code int) string {
	switch code {
	case 125:
		return "the engine could not run it"
	case 126:
		return "its command cannot be executed"
	case 127:
		return "its command was not found"
	case 128:
		return "the engine could not start it"
	}
	if code < 129 || code > 128+64 {
		return ""
	}
	if k, ok := killed[code-128]; ok {
		return k.name + ": " + k.meaning
	}
	return "signal " + strconv.Itoa(code-128)
}

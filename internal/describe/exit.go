// SPDX-License-Identifier: Apache-2.0

package describe

import "strconv"

// signals are those of Linux by their numbers, and what it means for a program that one
// has ended it.
var signals = map[int]struct{ name, meaning string }{
	1:  {"SIGHUP", "what it belonged to went away"},
	2:  {"SIGINT", "it was interrupted, as by Ctrl-C"},
	3:  {"SIGQUIT", "it was told to quit"},
	4:  {"SIGILL", "it ran an instruction that this processor does not know"},
	5:  {"SIGTRAP", "it ran into a trap, as of a debugger"},
	6:  {"SIGABRT", "it gave up by itself, as after a check that failed"},
	7:  {"SIGBUS", "it used memory that is not there"},
	8:  {"SIGFPE", "it calculated what cannot be, as a division by zero"},
	9:  {"SIGKILL", "it was ended at once, and could not finish anything"},
	10: {"SIGUSR1", "it was sent a signal for which it had no handler"},
	11: {"SIGSEGV", "it used memory that is not its own"},
	12: {"SIGUSR2", "it was sent a signal for which it had no handler"},
	13: {"SIGPIPE", "it wrote to somebody who was gone"},
	14: {"SIGALRM", "its own alarm clock rang"},
	15: {"SIGTERM", "it was told to end"},
	24: {"SIGXCPU", "it used up the time that it may compute"},
	25: {"SIGXFSZ", "it wrote a file larger than it may"},
	31: {"SIGSYS", "it asked the kernel for what it may not ask for (seccomp)"},
}

// starts are the exit codes of what did not begin.
var starts = map[int]string{
	125: "the engine could not run it",
	126: "the command cannot be executed",
	127: "the command was not found",
	128: "the engine could not start it",
}

// Signal is the name of a signal by its number, empty for none.
func Signal(number string) string {
	if number == "" {
		return ""
	}
	if n, err := strconv.Atoi(number); err == nil && signals[n].name != "" {
		return signals[n].name
	}
	return "signal " + number
}

// exitName is what an exit code stands for in one word: the signal, or why it did not begin.
func exitName(code string) string {
	n, err := strconv.Atoi(code)
	if err != nil {
		return ""
	}
	if starts[n] != "" {
		return starts[n]
	}
	return signals[n-128].name
}

// Exit is what an exit code says: the signal that ended the program and what that means,
// or why it did not begin. It is empty for 0, and for codes that mean what the program
// meant by them.
func Exit(code int) string {
	if s, ok := signals[code-128]; ok {
		return s.name + ": " + s.meaning
	}
	if code > 128 && code <= 128+64 {
		return "signal " + strconv.Itoa(code-128)
	}
	return starts[code]
}

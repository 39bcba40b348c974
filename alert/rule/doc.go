// SPDX-License-Identifier: Apache-2.0

// Package rule evaluates alarm rules with Prometheus' own rule manager, over PromQL,
// LogQL and open problems:
//
//	default rules, files ──► Engine ──► Notify: pending, firing and resolved alerts
//	                           │  ▲
//	        store of samples ──┘  └── open problems, as series; LogQL
//
// # Languages
//
// A file has Prometheus' format to the letter. A group with the key type: logql, as
// vmalert marks its own, holds LogQL; the language must be said, since rate({a="b"}[5m])
// is valid in both. A file of Loki's ruler is given as one whose groups all are.
//
// # Problems are series
//
// An open problem is container_problem{kind,class,host,workload,project},
// engine_problem{kind,host,engine} or host_problem{kind,host} with the seconds that it is
// open as its value, at every time that a rule asks for. So a rule about problems is PromQL. Groups whose name
// begins with "problems" are evaluated every 15 seconds and at once when a problem
// changes; the others by the manager, in their own intervals, and not while nothing is
// stored ([Options.Blind]).
//
// They are appended to [Options.Append], as ALERTS and what recording rules make are:
// so their history can be asked, and [Engine.Try] tells how often a rule would have
// fired.
//
// # What workloads ask
//
// [Options.Wish] switches a rule off for a workload, or gives it another threshold there:
// then the rule's expression is evaluated once more with that number, and its result
// taken for that workload alone. It works for every rule that has one number, whatever
// it compares.
//
// # Unit tests
//
// [Unit] runs a file of tests in promtool's format, with lines, events and the default
// rules beside it, by the code that evaluates rules otherwise.
//
// # Over a restart
//
// [Engine.Active] is what is pending and firing; given to [Options.Active] of the next
// process, rules go on from there: without a new wait, and what has ended meanwhile is
// resolved. (Prometheus' own restore knows neither.)
package rule

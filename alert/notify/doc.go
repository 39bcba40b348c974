// SPDX-License-Identifier: Apache-2.0

// Package notify makes receivers of notifications out of lines:
//
//	https://user:pass@host/path            webhook with Alertmanager's payload, version 4
//	slack://hook:T-B-C@webhook             discord://TOKEN@ID        telegram://TOKEN@telegram?chats=ID
//	teams://host/path?query                mattermost://host/TOKEN   rocketchat://host/TOKEN/TOKEN
//	pagerduty://KEY  opsgenie://KEY        pushover://shoutrrr:TOKEN@USER   victorops://KEY/ROUTING
//	webex://TOKEN@webex?rooms=ID           smtp://user:pass@host:587/?from=a@b&to=c@d
//	ntfy:// gotify:// matrix:// …          Shoutrrr's services, in its grammar
//	jira://user:token@host/PROJECT         amqp://user:pass@host/vhost, see [Broker]
//	alertmanager+https://host              another Alertmanager, see [Forward]
//
// [Parse] reads a line and asks nobody; [Target.Build] makes a [Receiver] of it. Services
// that Alertmanager knows are its own receivers with generated settings, the others are
// Shoutrrr's.
//
//	Alertmanager's pipeline ──► Receiver ──► native receiver, webhook or Shoutrrr
//	                              │ acknowledged: repeats are held back
//	                              │ rate: 20 in 10 minutes, then one folded message
//	                              │ rest: as long as it asks for, with Retry-After
//	                              │ digest: what came and went while it was away
//	                              └ scrubber: no secret of the line in an error or a log
//
// # Secrets
//
// User, password, path and values of the query of a line are secret. No error and no
// log line of this package holds them, raw or escaped; nor a URL beyond its host.
//
// # Strangers
//
// Names, labels and summaries come from strangers. Control characters and escape
// sequences are taken out, markup is escaped as each service wants it, and mentions of
// everybody are broken up.
//
// # Network
//
// Proxies of the environment are not used, redirects to another host are not followed
// and addresses that are local to a link, where clouds keep their metadata, are refused.
// Some of Shoutrrr's services use the default client of net/http; so that it holds for
// them too, cmd makes [Transport] that client's transport.
//
// # Concurrency
//
// A Receiver may be used concurrently. Its Run sends what was folded, and digests; what is
// waiting is kept by the caller's Keep, so that a kill does not lose it.
package notify

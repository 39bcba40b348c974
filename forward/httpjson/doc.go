// SPDX-License-Identifier: Apache-2.0

// Package httpjson sends records on as JSON over HTTP: to whatever takes lines of it (as
// Logspout's adapters did, or Sumo Logic's HTTP source), and to Elasticsearch, OpenSearch and
// those that speak their bulk API.
//
//	o := send.RecordOptions{Name: "sumo", Log: records, ID: "5f0c"}
//	f := httpjson.New(httpjson.Options{RecordOptions: o, Client: client, Format: httpjson.Lines})
//	err := f.Run(ctx)
//
// A record is an object on one line, with the labels of its stream and its metadata beside
// its text:
//
//	{"@timestamp":"2026-11-29T10:00:00.000000001Z","message":"ready","id":"5f0c-17-18b2","host":"web-1","name":"api",…}
//
// A label that has the name of one of the first three is called label_… . What is no UTF-8 is
// replaced by U+FFFD, control characters are escaped.
//
// The id is the same each time that a record is sent, and no other's: the installation's, the record's
// number and its time. Who takes lines can leave repeats out by it.
//
//	Lines   application/x-ndjson, an object on each line
//	Array   application/json, one array of them
//	Bulk    the bulk API: {"create":{"_id":"…"}} before each object, without the id in it;
//	        dots in the names of labels become underscores, as they would mean objects
//
// Lines and Array: any 2xx is a receipt of all, any 4xx but those of [send.Classify] a refusal of
// all, as nobody knows what was good of it.
//
// Bulk: each object has a status of its own. 2xx is taken, and 409, which says that the id is
// there already: it was taken before. 429 and 5xx come again with those of the next
// request, other statuses are refused, with the first reason as the words. An answer of 2xx
// that is no answer of a bulk API holds everything; one without a body is believed. When 5xx is the answer for a
// single object for five minutes while others are taken, it is refused, too.
package httpjson

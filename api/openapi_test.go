// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"reflect"
	"testing"

	"tallyman/internal/httpx"
)

// mood is a word that has two values.
type mood string

func (mood) Values() []string { return []string{"calm", "angry"} }

type part struct {
	N int `json:"n"`
}

type whole struct {
	Mood  mood            `json:"mood" doc:"How it is"`
	Of    map[mood]int    `json:"of"`
	Part  *part           `json:"part" doc:"null for none"`
	Parts []*part         `json:"parts,omitempty"`
	Raw   json.RawMessage `json:"raw,omitempty"`
}

// What programs that make types of the document go by.
func TestSchemas(t *testing.T) {
	s := schemas{all: object{}, types: map[string]reflect.Type{}}
	f := func(name string, got any, want string) {
		t.Helper()
		b, err := json.Marshal(got)
		if err != nil || string(b) != want {
			t.Errorf("%s: got  %s, %v\nwant %s", name, b, err, want)
		}
	}
	f("a stream", s.messages([]httpx.Message{{Event: "change", Text: "What it is now", Data: whole{}}}),
		`{"items":{"oneOf":[{"description":"What it is now","properties":{"data":{"$ref":"#/components/schemas/Whole"},"event":{"enum":["change"],"type":"string"}},`+
			`"required":["event","data"],"type":"object"}]},"type":"array"}`)
	f("required", s.all["Whole"].(object)["required"], `["mood","of","part"]`)
	of := s.all["Whole"].(object)["properties"].(object)
	f("a word", of["mood"], `{"description":"How it is","enum":["calm","angry"],"type":"string"}`)
	f("a map of words", of["of"], `{"properties":{"angry":{"type":"integer"},"calm":{"type":"integer"}},"type":"object"}`)
	f("null beside a reference", of["part"], `{"allOf":[{"$ref":"#/components/schemas/Part"}],"description":"null for none","nullable":true}`)
	f("null in a list", of["parts"], `{"items":{"allOf":[{"$ref":"#/components/schemas/Part"}],"nullable":true},"type":"array"}`)
	f("any JSON", of["raw"], `{"$ref":"#/components/schemas/Json"}`)
	if s.err != nil {
		t.Error(s.err)
	}
}

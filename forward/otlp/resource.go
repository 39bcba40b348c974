// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"path"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"tallyman"
)

// placed are the labels of which a resource is made.
var placed = []string{"container_id", "host", "id", "image", "name", "workload"}

// resource is whose records or samples they are.
type resource struct {
	key        string
	attributes pcommon.Map
}

// resourceOf makes the resource of labels. Where none of them is host it is the given one.
func (o *Options) resourceOf(labels []tallyman.Label) *resource {
	r := &resource{attributes: pcommon.NewMap()}
	of := func(name string) string { return clean(tallyman.LabelIn(labels, name)) }
	put := func(key, value string) {
		if value != "" {
			r.attributes.PutStr(key, value)
			r.key += key + "\x00" + value + "\x00"
		}
	}
	host, name, workload := of("host"), of("name"), of("workload")
	if host == "" {
		host = o.Host
	}
	for _, l := range o.External {
		put(l.Name, clean(l.Value))
	}
	put("host.name", host)
	service, namespace := name, ""
	if parts := strings.Split(workload, "/"); len(parts) == 3 { // shop/api/1 of Compose, shop/shop_api/1 of Swarm
		namespace, service = parts[0], strings.TrimPrefix(parts[1], parts[0]+"_")
	}
	put("service.namespace", namespace)
	put("service.name", service)
	put("service.instance.id", workload)
	id := of("container_id")
	if l := of("id"); id == "" && len(path.Base(l)) == 64 {
		id = path.Base(l) // /docker/<id> and the like
	}
	if id == "" && of("image") == "" {
		return r
	}
	put("container.name", name)
	put("container.id", id)
	put("container.runtime.name", "docker")
	image, tag := of("image"), ""
	if at := strings.LastIndexByte(image, ':'); at > strings.LastIndexByte(image, '/') {
		image, tag = image[:at], image[at+1:]
	}
	put("container.image.name", image)
	if tag != "" {
		r.attributes.PutEmptySlice("container.image.tags").AppendEmpty().SetStr(tag)
		r.key += tag
	}
	return r
}

// clean is a text as protobuf takes it.
func clean(text string) string { return strings.ToValidUTF8(text, "\ufffd") }

// putLabels puts the labels into m that are in no resource, or with all those, too.
func putLabels(m pcommon.Map, labels []tallyman.Label, all bool) {
	for _, l := range labels {
		if (all || !slices.Contains(placed, l.Name)) && l.Name != "" && l.Value != "" {
			m.PutStr(clean(l.Name), clean(l.Value))
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/common/model"
)

// header names a notification: what is sent again after a kill has the same value.
const header = "X-Tallyman-Notification"

// maxAnswer is how much of a receiver's answer is read, in bytes.
const maxAnswer = 4 << 10

// hook is a webhook with Alertmanager's payload. Alertmanager's own can neither name the
// notification in a header nor follow redirects to the same host only.
type hook struct {
	to             *url.URL
	user, password string
}

func newHook(u *url.URL) *hook {
	h := &hook{to: u}
	if u.User != nil {
		h.user = u.User.Username()
		h.password, _ = u.User.Password()
		bare := *u
		bare.User = nil
		h.to = &bare
	}
	return h
}

// hooked is a hook that sends.
type hooked struct {
	*hook
	build  Build
	client *http.Client
}

// Notify implements Alertmanager's notify.Notifier.
func (h *hooked) Notify(ctx context.Context, alerts ...*alert.Alert) notify.NotifyVerdict {
	key, err := notify.ExtractGroupKey(ctx)
	if err != nil {
		return notify.Unrecoverable(err, notify.DefaultReason)
	}
	payload, err := json.Marshal(webhook.Message{Version: "4", GroupKey: key.String(), Data: notify.GetTemplateData(ctx, h.build.Template, alerts, h.build.Log)})
	if err != nil {
		return notify.Unrecoverable(fmt.Errorf("write the payload: %w", err), notify.DefaultReason)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.to.String(), bytes.NewReader(payload))
	if err != nil {
		return notify.Unrecoverable(err, notify.DefaultReason)
	}
	if h.user != "" || h.password != "" {
		r.SetBasicAuth(h.user, h.password)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "tallyman")
	r.Header.Set(header, notificationID(ctx, alerts))
	return verdict(h.client.Do(r))
}

// verdict reads what a receiver answers. What it could do later is tried again.
func verdict(answer *http.Response, err error) notify.NotifyVerdict {
	if err != nil {
		return notify.Retry(0, err, notify.DefaultReason)
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode/100 == 2 {
		return notify.Success()
	}
	err = fmt.Errorf("it answers %s %s", answer.Status, strings.TrimSpace(string(text)))
	reason := notify.GetFailureReasonFromStatusCode(answer.StatusCode)
	if answer.StatusCode/100 == 5 || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout {
		return notify.Retry(notify.ParseRetryAfter(answer.Header, time.Now()), err, reason)
	}
	return notify.Unrecoverable(err, reason)
}

// sentKey counts the repeats of a notification in the notification log.
const sentKey = "tallyman_sent"

// notificationID is <hash of the group>-<hash of what is told>-<number of the repeat>.
func notificationID(ctx context.Context, alerts []*alert.Alert) string {
	group, _ := notify.GroupKey(ctx)
	var told []string
	for _, a := range alerts {
		told = append(told, fmt.Sprint(a.Fingerprint(), a.StartsAt.UnixNano(), a.Status() == model.AlertResolved))
	}
	slices.Sort(told)
	return fmt.Sprintf("%016x-%08x-%d", xxhash.Sum64String(group), uint32(xxhash.Sum64String(strings.Join(told, "\n"))), sentBefore(ctx))
}

func sentBefore(ctx context.Context) int64 {
	store, ok := notify.NflogStore(ctx)
	if !ok {
		return 0
	}
	n, _ := store.GetInt(sentKey)
	return n
}

// countSent notes in the notification log that it was sent.
func countSent(ctx context.Context) {
	if store, ok := notify.NflogStore(ctx); ok {
		store.SetInt(sentKey, sentBefore(ctx)+1)
	}
}

// errTLS is the hint for a frequent mistake.
var errTLS = errors.New("the server speaks no TLS; write http:// if that is meant")

// hint makes errors of the network say what to do.
func hint(err error) error {
	if err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return errTLS
	}
	return err
}

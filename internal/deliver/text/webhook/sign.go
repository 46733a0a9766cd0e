package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"latchkey/internal/deliver/text"
)

// Tolerance is how far the time of a signed request may be from ours, in
// either direction. Within it a request that is sent again is genuine again:
// receipts say the same however often they come.
const Tolerance = 5 * time.Minute

const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"

	secretPrefix            = "whsec_"
	leastSecret, mostSecret = 24, 64
)

// Keys are what requests are signed with: every one signs, any one proves.
type Keys [][]byte

// ParseKeys reads one secret, or several with spaces between while one is
// replaced by another. Its error does not show them.
func ParseKeys(s string) (Keys, error) {
	var keys Keys
	for _, secret := range strings.Fields(s) {
		coded, ok := strings.CutPrefix(secret, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(coded)
		if !ok || err != nil || len(key) < leastSecret || len(key) > mostSecret {
			return nil, errors.New("the secret is not whsec_ and 24 to 64 octets in base64")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the secret is missing")
	}
	return keys, nil
}

// Sign puts the three headers on a request with this body. id must have no dot.
func (k Keys) Sign(h http.Header, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(k))
	for i, key := range k {
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac(key, id, timestamp, body))
	}
	h.Set(headerID, id)
	h.Set(headerTimestamp, timestamp)
	h.Set(headerSignature, strings.Join(signatures, " "))
}

// Verify makes sure that a request with these headers and body was signed with
// one of the keys, not long ago. Error: text.ErrNotAuthentic.
func (k Keys) Verify(h http.Header, now time.Time, body []byte) error {
	id, timestamp := h.Get(headerID), h.Get(headerTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	// A dot in the identifier could move the border between it and the time.
	if err != nil || id == "" || strings.Contains(id, ".") {
		return text.ErrNotAuthentic
	}
	if away := now.Sub(time.Unix(seconds, 0)); away > Tolerance || away < -Tolerance {
		return text.ErrNotAuthentic
	}
	good := false
	for _, signature := range strings.Fields(h.Get(headerSignature)) {
		coded, ok := strings.CutPrefix(signature, "v1,")
		given, err := base64.StdEncoding.DecodeString(coded)
		if !ok || err != nil {
			continue
		}
		for _, key := range k {
			good = hmac.Equal(given, mac(key, id, timestamp, body)) || good
		}
	}
	if !good {
		return text.ErrNotAuthentic
	}
	return nil
}

func mac(key []byte, id, timestamp string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + timestamp + "."))
	m.Write(body)
	return m.Sum(nil)
}

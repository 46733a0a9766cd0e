package texttest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/sns"
)

// The account of the stand-in for Amazon SNS.
const (
	snsRegion = "eu-west-2"
	snsKey    = "AKIAIOSFODNN7EXAMPLE"
	snsSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// SNS stands in for Amazon SNS: the query protocol of 2010-03-31.
type SNS struct{ web }

// StartSNS starts it.
func StartSNS() (*SNS, error) {
	s := &SNS{}
	return s, s.start(s.serve)
}

// Options fit the stand-in.
func (s *SNS) Options() sns.Options {
	return sns.Options{Region: snsRegion, Sender: "Latchkey", Endpoint: s.URL(), AccessKey: snsKey, SecretAccessKey: snsSecret}
}

func snsError(w http.ResponseWriter, status int, code, message string) {
	fault := "Sender"
	if status >= 500 {
		fault = "Receiver"
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>%s</Type><Code>%s</Code><Message>`, fault, code)
	_ = xml.EscapeText(w, []byte(message))
	fmt.Fprint(w, `</Message></Error><RequestId>9dd01905-5012-5f99-8663-4b3ecd0dfaef</RequestId></ErrorResponse>`)
}

func (s *SNS) serve(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 256<<10))
	in, parse := url.ParseQuery(string(raw))
	if err = errors.Join(err, parse); err != nil || in.Get("Action") != "Publish" || in.Get("Version") != "2010-03-31" {
		snsError(w, http.StatusBadRequest, "InvalidAction", "The action is not valid for this endpoint.")
		return
	}
	if code, message := s.authorised(r, raw); code != "" {
		snsError(w, http.StatusForbidden, code, message)
		return
	}
	if s.faulty(w, r, in.Get("PhoneNumber")) {
		return
	}
	attributes := map[string]string{}
	for i := 1; in.Get(fmt.Sprintf("MessageAttributes.entry.%d.Name", i)) != ""; i++ {
		attributes[in.Get(fmt.Sprintf("MessageAttributes.entry.%d.Name", i))] = in.Get(fmt.Sprintf("MessageAttributes.entry.%d.Value.StringValue", i))
	}
	if attributes["AWS.SNS.SMS.SMSType"] != "Transactional" {
		snsError(w, http.StatusBadRequest, "InvalidParameter", "Invalid parameter: SMSType")
		return
	}
	body := in.Get("Message")
	m := Message{ID: identifier(s.number()), To: in.Get("PhoneNumber"), Body: body, Parts: text.Measure(body).Parts,
		Sender: attributes["AWS.SNS.SMS.SenderID"] + attributes["AWS.MM.SMS.OriginationNumber"]}
	s.catch(m)
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>%s</MessageId></PublishResult><ResponseMetadata><RequestId>f187a3c1-376f-11df-8963-01868b7c937a</RequestId></ResponseMetadata></PublishResponse>`, m.ID)
}

func (s *SNS) faulty(w http.ResponseWriter, r *http.Request, number string) bool {
	f := s.failNow()
	if s.common(w, r, f, http.StatusOK) {
		return true
	}
	switch {
	case f == Down:
		snsError(w, http.StatusInternalServerError, "InternalError", "An internal error")
	case f == Throttled: // 400, not 429
		snsError(w, http.StatusBadRequest, "Throttling", "Rate exceeded")
	case f == Unauthorised:
		snsError(w, http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
	case f == Rejected:
		snsError(w, http.StatusBadRequest, "OptedOut", "The phone number "+number+" has opted out")
	case f == BadNumber, !notifyNumber.MatchString(number):
		snsError(w, http.StatusBadRequest, "InvalidParameter", "Invalid parameter: PhoneNumber Reason: "+number+" is not valid to publish to")
	default:
		return false
	}
	return true
}

// authorised checks AWS Signature Version 4 over the headers that the request
// says are signed.
func (s *SNS) authorised(r *http.Request, body []byte) (code, message string) {
	fields := map[string]string{}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	key, scope, _ := strings.Cut(fields["Credential"], "/")
	if scheme != "AWS4-HMAC-SHA256" || key != snsKey {
		return "InvalidClientTokenId", "The security token included in the request is invalid."
	}
	at := r.Header.Get("X-Amz-Date")
	if len(at) < 8 || scope != at[:8]+"/"+snsRegion+"/sns/aws4_request" {
		return "SignatureDoesNotMatch", "Credential should be scoped to a valid region."
	}
	sum := sha256.Sum256(body)
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
	for name := range strings.SplitSeq(fields["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(len(body))
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.TrimSpace(value))
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", fields["SignedHeaders"], hex.EncodeToString(sum[:]))
	digest := sha256.Sum256([]byte(canonical.String()))
	signing := []byte("AWS4" + snsSecret)
	for _, step := range []string{at[:8], snsRegion, "sns", "aws4_request",
		"AWS4-HMAC-SHA256\n" + at + "\n" + scope + "\n" + hex.EncodeToString(digest[:])} {
		mac := hmac.New(sha256.New, signing)
		mac.Write([]byte(step))
		signing = mac.Sum(nil)
	}
	if hex.EncodeToString(signing) != fields["Signature"] {
		return "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
	}
	return "", ""
}

// Receipt implements Caught: SNS has none.
func (s *SNS) Receipt(context.Context, string, text.State) error {
	return errors.New("amazon SNS tells CloudWatch alone what came of a message")
}

var _ Caught = (*SNS)(nil)

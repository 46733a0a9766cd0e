// Package sns sends text messages through Amazon SNS, by Publish to a phone
// number.
//
// SNS calls nobody back about text messages: what became of one is in Amazon
// CloudWatch Logs, where delivery status logging is switched on. So there are
// no receipts here.
package sns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/wire"
	"latchkey/internal/problem"
)

// Name of this provider.
const Name = "sns"

// Options of Amazon SNS.
type Options struct {
	Region          string // "eu-west-2"
	Sender          string // sender ID, or an origination number; "" is the account's default
	Endpoint        string // "" is the region's own
	AccessKey       string // "" takes credentials from where the AWS SDK looks for them
	SecretAccessKey string // of AccessKey
	SessionToken    string // of AccessKey, "" for none
}

// SNS is Amazon SNS.
type SNS struct {
	o      Options
	client *awssns.Client
}

var (
	region   = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	senderID = regexp.MustCompile(`^[A-Za-z0-9]{1,11}$`)
	number   = regexp.MustCompile(`^\+?[0-9]{3,15}$`)
)

// New makes the provider. ctx bounds the reading of the AWS configuration.
// Error: problem.ConfigInvalid; it shows no secret.
func New(ctx context.Context, o Options) (*SNS, error) {
	s := &SNS{o: o}
	if err := s.open(ctx); err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("amazon SNS: %w", err))
	}
	return s, nil
}

func (s *SNS) open(ctx context.Context) error {
	o := s.o
	switch {
	case !region.MatchString(o.Region):
		return errors.New("the region is not one, such as eu-west-2")
	case o.Sender != "" && !senderID.MatchString(o.Sender) && !number.MatchString(o.Sender):
		return errors.New("the sender is neither 1 to 11 letters and digits nor a number")
	case (o.AccessKey == "") != (o.SecretAccessKey == ""):
		return errors.New("the access key and its secret belong together")
	}
	if o.Endpoint != "" {
		if _, err := wire.BaseURL(o.Endpoint); err != nil {
			return fmt.Errorf("the endpoint %w", err)
		}
	}
	conf := aws.Config{Region: o.Region}
	if o.AccessKey == "" {
		var err error
		if conf, err = config.LoadDefaultConfig(ctx, config.WithRegion(o.Region)); err != nil {
			return errors.New("the AWS configuration of this machine cannot be read")
		}
	} else {
		conf.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: o.AccessKey, SecretAccessKey: o.SecretAccessKey, SessionToken: o.SessionToken, Source: "latchkeyd"}, nil
		})
	}
	s.client = awssns.NewFromConfig(conf, func(c *awssns.Options) {
		c.HTTPClient = bounded{wire.NewClient()}
		// A publish that was answered with 500 may have gone out: whether it is
		// tried again is not for the library to say.
		c.Retryer = aws.NopRetryer{}
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	return nil
}

// bounded is a client whose answers end after wire.MaxBody.
type bounded struct{ client *http.Client }

func (b bounded) Do(req *http.Request) (*http.Response, error) {
	resp, err := b.client.Do(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, wire.MaxBody), resp.Body}
	}
	return resp, err
}

// Name implements text.Provider.
func (s *SNS) Name() string { return Name }

// Send implements text.Provider.
func (s *SNS) Send(ctx context.Context, m text.Message) (text.Sent, error) {
	if err := text.Check(Name, m); err != nil {
		return text.Sent{}, err
	}
	sender := s.o.Sender
	if m.Sender != "" {
		sender = m.Sender
	}
	attributes := map[string]types.MessageAttributeValue{"AWS.SNS.SMS.SMSType": word("Transactional")}
	switch {
	case number.MatchString(sender):
		attributes["AWS.MM.SMS.OriginationNumber"] = word(sender)
	case sender != "":
		attributes["AWS.SNS.SMS.SenderID"] = word(sender)
	}
	ctx, left := wire.Watch(ctx)
	out, err := s.client.Publish(ctx, &awssns.PublishInput{
		PhoneNumber: aws.String(m.To), Message: aws.String(m.Body), MessageAttributes: attributes})
	if err != nil {
		return text.Sent{}, failure(err, left())
	}
	if aws.ToString(out.MessageId) == "" {
		return text.Sent{}, wire.Garbled(Name)
	}
	return text.Sent{Provider: Name, ID: *out.MessageId}, nil
}

func word(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(s)}
}

// failure says what an error of the library means. Its text is not kept: SNS
// repeats the number in it.
//
// No answer of SNS is an impossibility. "PhoneNumber ... is not valid to publish
// to" is also what it says of every number in a region without text messages,
// so the next provider is asked.
func failure(err error, left bool) *text.Error {
	var answered interface{ HTTPStatusCode() int }
	status := 0
	if errors.As(err, &answered) {
		status = answered.HTTPStatusCode()
	}
	if status == 0 {
		if !left && !transport(err) {
			// Neither sent nor on the way: there are no credentials to sign with.
			return &text.Error{Provider: Name, Kind: text.Refused, Code: "credentials"}
		}
		return wire.Lost(Name, left, err)
	}
	if status < 300 {
		return wire.Garbled(Name)
	}
	var api interface{ ErrorCode() string }
	code := ""
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	e := wire.Failure(Name, wire.Answer{Status: status}, text.Code(code, "http-"+strconv.Itoa(status)), time.Time{})
	switch code {
	case "Throttled", "Throttling", "ThrottlingException", "RequestLimitExceeded", "KMSThrottling", "InternalError", "InternalFailure", "ServiceUnavailable":
		e.Kind = text.Away // some with a status of 400
	}
	return e
}

// transport says whether err came from the connection.
func transport(err error) bool {
	var network interface{ Timeout() bool }
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network)
}

var _ text.Provider = (*SNS)(nil)

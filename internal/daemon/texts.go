package daemon

import (
	"context"
	"fmt"
	"strings"

	"latchkey/internal/api"
	"latchkey/internal/config"
	"latchkey/internal/deliver"
	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/notify"
	"latchkey/internal/deliver/text/smpp"
	"latchkey/internal/deliver/text/sns"
	"latchkey/internal/deliver/text/twilio"
	"latchkey/internal/deliver/text/webhook"
	"latchkey/internal/problem"
)

// TextWords are the texts of text messages by the configuration. Error:
// problem.ConfigInvalid.
func TextWords(c *config.Config) (*deliver.TextWords, error) {
	return deliver.NewTextWords(deliver.TextWordsOptions{Language: c.MessageLanguage, Dir: c.MessageDir,
		Organisation: c.Organisation, Contact: contact(c)})
}

func contact(c *config.Config) api.Contact {
	return api.Contact{Name: c.ContactName, Phone: c.ContactPhone, Email: c.ContactEmail, Hours: c.ContactHours}
}

// textsSetUp says whether text messages can leave.
func textsSetUp(c *config.Config) bool { return len(c.TextProviders) > 0 || c.MailDir != "" }

// texter is what sends text messages; nil where they are not set up. A text
// that is not right is found out either way.
func texter(ctx context.Context, c *config.Config) (*deliver.Texter, error) {
	words, err := TextWords(c)
	if err != nil || !textsSetUp(c) {
		return nil, err
	}
	o := deliver.TexterOptions{Dir: c.MailDir, Words: words}
	for _, name := range c.TextProviders {
		p, err := provider(ctx, c, name)
		if err != nil {
			return nil, err
		}
		o.Providers = append(o.Providers, p)
	}
	return deliver.NewTexter(o)
}

// provider makes a provider of text messages by its name.
func provider(ctx context.Context, c *config.Config, name string) (text.Provider, error) {
	receipts := ""
	if c.TextCallbackURL != "" {
		receipts = strings.TrimSuffix(c.TextCallbackURL, "/") + "/" + name
	}
	switch name {
	case notify.Name:
		return notify.New(notify.Options{Key: c.NotifyKey, Template: c.NotifyTemplate,
			Sender: c.NotifySender, CallbackToken: c.NotifyCallbackToken, BaseURL: c.NotifyURL})
	case twilio.Name:
		return twilio.New(twilio.Options{Account: c.TwilioAccount, Key: c.TwilioKey, Secret: c.TwilioSecret, AuthToken: c.TwilioAuthToken,
			From: c.TwilioFrom, Callback: receipts, BaseURL: c.TwilioURL})
	case sns.Name:
		return sns.New(ctx, sns.Options{Region: c.SNSRegion, Sender: c.SNSSender, Endpoint: c.SNSEndpoint})
	case webhook.Name:
		return webhook.New(webhook.Options{URL: c.WebhookURL, Secret: c.WebhookSecret, Sender: c.WebhookSender, Callback: receipts})
	case smpp.Name:
		return smpp.New(smpp.Options{Address: c.SMPPAddress, TLS: c.SMPPTLS, CAFile: c.SMPPCAFile, SystemID: c.SMPPSystemID,
			Password: c.SMPPPassword, Sender: c.SMPPSender, Payload: c.SMPPPayload})
	}
	return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("provider of text messages %q", name))
}

// guard is what text messages may cost.
func guard(c *config.Config) (deliver.Guard, error) {
	limits, err := c.CountryLimits()
	if err != nil {
		return deliver.Guard{}, problem.Wrap(problem.ConfigInvalid, err)
	}
	return deliver.Guard{PerHour: c.TextsPerHour, Countries: limits, Other: c.TextCountryDefault, Home: strings.ToUpper(c.Region)}, nil
}

// senders are how messages leave.
func senders(ctx context.Context, c *config.Config) (deliver.Senders, error) {
	mail, err := deliver.NewMailer(deliver.MailerOptions{Host: c.SMTPHost, Port: c.SMTPPort, Security: c.SMTPSecurity,
		Username: c.SMTPUsername, Password: c.SMTPPassword, CAFile: c.SMTPCAFile, Hello: c.SMTPHello, From: c.MailFrom,
		ReplyTo: c.MailReplyTo, Dir: c.MailDir, Organisation: c.Organisation, Contact: contact(c)})
	if err != nil {
		return deliver.Senders{}, err
	}
	texts, err := texter(ctx, c)
	if err != nil {
		return deliver.Senders{}, err
	}
	limits, err := guard(c)
	return deliver.Senders{Mail: mail, Text: texts, Guard: limits}, err
}

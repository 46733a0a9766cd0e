package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Text are the settings of text messages.
type Text struct {
	TextProviders      []string `name:"text_providers" help:"Providers of text messages in the order in which they are tried: notify, twilio, sns, webhook, smpp; empty for none."`
	MessageLanguage    string   `name:"message_language" help:"Language of text messages: en or cy."`
	MessageDir         string   `name:"message_dir" help:"Folder with texts that replace our own: code.sms.txt, released.sms.txt, unlocked.sms.txt."`
	TextsPerHour       int      `name:"texts_per_hour" help:"Text messages sent an hour in all."`
	TextCountryLimits  []string `name:"text_country_limits" help:"Text messages sent an hour to numbers of a country, such as GB=2000,IE=200; 0 refuses."`
	TextCountryDefault int      `name:"text_country_default" help:"The same for each country that is not listed; the region, where not listed, has texts_per_hour. 0 refuses."`
	TextCallbackURL    string   `name:"text_callback_url" help:"Where providers reach this service for delivery receipts, such as https://unlock.example.org:8440/v1/receipts; empty asks for none."`

	NotifyKey           string `name:"notify_key" secret:"yes" help:"GOV.UK Notify: API key."`
	NotifyTemplate      string `name:"notify_template" help:"GOV.UK Notify: identifier of a text message template."`
	NotifySender        string `name:"notify_sender" help:"GOV.UK Notify: identifier of a text message sender; empty is the service's default."`
	NotifyCallbackToken string `name:"notify_callback_token" secret:"yes" help:"GOV.UK Notify: bearer token of delivery receipts; empty takes none."`
	NotifyURL           string `name:"notify_url" help:"GOV.UK Notify: address of its API; empty is its own."`

	TwilioAccount   string `name:"twilio_account" help:"Twilio: account SID."`
	TwilioKey       string `name:"twilio_key" help:"Twilio: API key SID; empty uses the account and its token."`
	TwilioSecret    string `name:"twilio_secret" secret:"yes" help:"Twilio: secret of the API key."`
	TwilioAuthToken string `name:"twilio_auth_token" secret:"yes" help:"Twilio: auth token of the account, which signs delivery receipts."`
	TwilioFrom      string `name:"twilio_from" help:"Twilio: sender, a number, a name or a messaging service."`
	TwilioURL       string `name:"twilio_url" help:"Twilio: address of its API; empty is its own."`

	SNSRegion   string `name:"sns_region" help:"Amazon SNS: region, such as eu-west-2."`
	SNSSender   string `name:"sns_sender" help:"Amazon SNS: sender ID or origination number; empty is the account's default."`
	SNSEndpoint string `name:"sns_endpoint" help:"Amazon SNS: address of its API; empty is the region's own."`

	WebhookURL    string `name:"webhook_url" help:"Webhook: where text messages are posted to; https, or http of a loopback address."`
	WebhookSecret string `name:"webhook_secret" secret:"yes" help:"Webhook: whsec_ and 24 to 64 bytes in base64; signs both ways."`
	WebhookSender string `name:"webhook_sender" help:"Webhook: sender that the phone shows; empty leaves it to the other side."`

	SMPPAddress  string `name:"smpp_address" help:"SMPP: message centre, host:port."`
	SMPPTLS      bool   `name:"smpp_tls" help:"SMPP: TLS from the first byte."`
	SMPPCAFile   string `name:"smpp_ca_file" help:"SMPP: certificate authorities (PEM) to trust beside the system's."`
	SMPPSystemID string `name:"smpp_system_id" help:"SMPP: system_id, at most 15 characters."`
	SMPPPassword string `name:"smpp_password" secret:"yes" help:"SMPP: password, at most 8 characters."`
	SMPPSender   string `name:"smpp_sender" help:"SMPP: sender, a number or a name; empty is the message centre's default."`
	SMPPPayload  bool   `name:"smpp_payload" help:"SMPP: long messages in one message_payload instead of parts with a header."`
}

func defaultText() Text {
	return Text{MessageLanguage: "en", TextsPerHour: 2000, TextCountryDefault: 100, SMPPTLS: true}
}

// texts are the rules of the settings of text messages. What a provider asks
// of its own settings the provider says.
func (c *Config) texts() []check {
	known := []string{"notify", "twilio", "sns", "webhook", "smpp"}
	good := true
	for i, p := range c.TextProviders {
		good = good && slices.Contains(known, p) && !slices.Contains(c.TextProviders[:i], p)
	}
	_, err := c.CountryLimits()
	return []check{
		{good, "text_providers", strings.Join(known, ", ") + ", each once at most"},
		{c.MessageLanguage == "en" || c.MessageLanguage == "cy", "message_language", "en or cy"},
		{err == nil, "text_country_limits", "countries with a number, such as GB=2000,IE=200"},
		{c.TextCountryDefault >= 0, "text_country_default", "a number from 0"},
		{c.TextCallbackURL == "" || webAddress(c.TextCallbackURL) || loopbackAddress(c.TextCallbackURL), "text_callback_url", "an address that begins with https://"},
	}
}

// CountryLimits are the text messages an hour by country.
func (c *Config) CountryLimits() (map[string]int, error) {
	limits := map[string]int{}
	for _, entry := range c.TextCountryLimits {
		country, number, _ := strings.Cut(entry, "=")
		country = strings.TrimSpace(country)
		n, err := strconv.Atoi(strings.TrimSpace(number))
		upper := len(country) == 2 && strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" || country == "001"
		if _, twice := limits[country]; err != nil || n < 0 || !upper || twice {
			return nil, fmt.Errorf("country limit %q", entry)
		}
		limits[country] = n
	}
	return limits, nil
}

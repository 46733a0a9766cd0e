// Package config is the service's configuration. Every setting has one name,
// which is a key of the TOML file, the environment variable LATCHKEYD_NAME and,
// unless it is a secret, the flag --name with hyphens. A flag wins over the
// environment, that over the file, that over the default. For each secret
// LATCHKEYD_NAME_FILE names a file to read it from.
//
// Faults are problem.ConfigInvalid and name the setting and where its value
// came from, never a secret.
package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"latchkey/internal/problem"
)

// Config is every setting of the service. The tags give the setting's name,
// whether it is a secret, and what it is for.
type Config struct {
	Data           string `name:"data" help:"Folder of the database and the key files."`
	Database       string `name:"database" secret:"yes" help:"Database: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME; default is latchkey.db in the data folder."`
	SigningKeyFile string `name:"signing_key_file" help:"File of the service's signing key; default is service.key in the data folder."`
	Node           string `name:"node" help:"Name of this node in the audit trail; default is the host name."`

	Listen        string `name:"listen" help:"Address to serve on; without a certificate on loopback only."`
	TLSCert       string `name:"tls_cert" help:"File of the TLS certificate with its chain (PEM); read again when it changes."`
	TLSKey        string `name:"tls_key" help:"File of the TLS key (PEM)."`
	MetricsListen string `name:"metrics_listen" help:"Loopback address for Prometheus' figures; empty for none."`
	LogLevel      string `name:"log_level" help:"debug, info, warn or error."`
	LogFormat     string `name:"log_format" help:"text or json."`

	Name         string `name:"name" help:"Stable name of the service, part of what cards sign. Never change it."`
	Organisation string `name:"organisation" help:"Name of the organisation, for people."`
	ContactName  string `name:"contact_name" help:"The Registration Authority as people know it."`
	ContactPhone string `name:"contact_phone" help:"Its telephone number."`
	ContactEmail string `name:"contact_email" help:"Its email address."`
	ContactHours string `name:"contact_hours" help:"When it can be reached."`

	EmailDomains []string `name:"email_domains" help:"The only domains that codes are sent to; empty for any."`
	Region       string   `name:"region" help:"Where national phone numbers are at home: two letters (ISO 3166-1); empty takes international numbers only."`
	EmailEnabled bool     `name:"email_enabled" help:"Offer security codes by email."`
	EmailNotice  string   `name:"email_notice" help:"Notice beside security codes by email."`
	SMSEnabled   bool     `name:"sms_enabled" help:"Offer security codes by text message."`
	SMSNotice    string   `name:"sms_notice" help:"Notice beside security codes by text message."`
	FaceNotice   string   `name:"face_notice" help:"Notice beside face verification."`
	Face

	SMTPHost     string `name:"smtp_host" help:"Mail server; empty for none."`
	SMTPPort     int    `name:"smtp_port" help:"Its port; default 587, or 465 with tls."`
	SMTPSecurity string `name:"smtp_security" help:"starttls, tls, or none (loopback only)."`
	SMTPUsername string `name:"smtp_username" help:"User name at the mail server; empty to send without."`
	SMTPPassword string `name:"smtp_password" secret:"yes" help:"Password at the mail server."`
	SMTPCAFile   string `name:"smtp_ca_file" help:"Certificate authorities (PEM) to trust for the mail server, beside the system's."`
	SMTPHello    string `name:"smtp_hello" help:"Name to greet the mail server with; default is the host name."`
	MailFrom     string `name:"mail_from" help:"Sender of messages, such as Smartcard service <no-reply@example.org>."`
	MailReplyTo  string `name:"mail_reply_to" help:"Where answers go."`
	MailDir      string `name:"mail_dir" help:"Folder that every message is also written to, one file each (RFC 5322; text messages as JSON)."`

	Text

	PasscodeMin        int    `name:"passcode_min" help:"Fewest digits of a passcode, 4 to 16."`
	PasscodeMax        int    `name:"passcode_max" help:"Most digits of a passcode; the card may allow fewer."`
	PasscodeDigitsOnly bool   `name:"passcode_digits_only" help:"Passcodes are digits only."`
	RotateAdminKeys    bool   `name:"rotate_administration_keys" help:"Replace the administration key of a GIDS card at each unlock. The new one then passes the workstation."`
	AllowUnproven      bool   `name:"allow_unproven" help:"Serve cards that cannot prove themselves by our record."`
	CardRoots          string `name:"card_roots" help:"Issuers of cards (PEM): certificates that a card brings count if they come from one of these."`
	Trust
	MinApplication string `name:"min_application" help:"Oldest version of the application that is served."`
	UpdateURL      string `name:"update_url" help:"Where people get a newer application."`

	SessionTime      time.Duration `name:"session_time" help:"How long an unlock may take, from its start."`
	WrongCodes       int           `name:"wrong_codes" help:"Wrong codes in one session."`
	WrongCodesDaily  int           `name:"wrong_codes_daily" help:"Wrong codes a day for one card."`
	HolderFailures   int           `name:"holder_failures" help:"Wrong codes in a row for one cardholder."`
	SendsPerCard     int           `name:"sends_per_card" help:"Codes sent an hour for one card."`
	SendsPerAddress  int           `name:"sends_per_address" help:"Codes sent an hour to one address."`
	SendsPerNetwork  int           `name:"sends_per_network" help:"Codes sent an hour for one network address."`
	SendsTotal       int           `name:"sends_total" help:"Codes sent a minute by the whole service."`
	StartsPerNetwork int           `name:"starts_per_network" help:"Unlocks begun a minute from one network address."`
	StartsTotal      int           `name:"starts_total" help:"Unlocks begun a minute with the whole service."`

	Keys

	sources map[string]string // where each value came from
}

// Default is the configuration where nothing is set.
func Default() *Config {
	data := "latchkeyd-data"
	if info, err := os.Stat("/var/lib/latchkey"); err == nil && info.IsDir() {
		data = "/var/lib/latchkey"
	}
	return &Config{Data: data, Listen: "127.0.0.1:8440", LogLevel: "info", LogFormat: "text",
		Name: "latchkey", Organisation: "Your organisation", ContactName: "Your Registration Authority",
		Region:       "GB",
		EmailEnabled: true, SMSEnabled: true, Text: defaultText(),
		Face:         defaultFace(),
		SMTPSecurity: "starttls", PasscodeMin: 6, PasscodeMax: 8, PasscodeDigitsOnly: true, AllowUnproven: true,
		SessionTime: 15 * time.Minute, WrongCodes: 5, WrongCodesDaily: 20, HolderFailures: 100, SendsPerCard: 5,
		SendsPerAddress: 10, SendsPerNetwork: 300, SendsTotal: 600, StartsPerNetwork: 120, StartsTotal: 1200,
		Trust:   defaultTrust(),
		Keys:    defaultKeys(),
		sources: map[string]string{}}
}

// DatabaseURL is the database, its default filled in.
func (c *Config) DatabaseURL() string {
	if c.Database == "" {
		return "sqlite:" + filepath.Join(c.Data, "latchkey.db")
	}
	return c.Database
}

// SigningKeyPath is the file of the signing key.
func (c *Config) SigningKeyPath() string { return orIn(c.SigningKeyFile, c.Data, "service.key") }

func orIn(path, folder, name string) string {
	if path != "" {
		return path
	}
	return filepath.Join(folder, name)
}

// Loopback says whether an address is this machine's alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// check is one rule: what must hold and what to say where it doesn't.
type check struct {
	ok            bool
	setting, want string
}

// Validate says what is wrong with the settings together, nil for nothing.
func (c *Config) Validate() error {
	level := map[string]bool{"debug": true, "info": true, "warn": true, "error": true}
	for _, k := range append(slices.Concat(c.addresses(), c.texts(), c.trust(), c.keys()), []check{
		{c.Data != "", "data", "a folder"},
		{level[c.LogLevel], "log_level", "debug, info, warn or error"},
		{c.LogFormat == "text" || c.LogFormat == "json", "log_format", "text or json"},
		{c.Name != "" && len(c.Name) <= 64, "name", "1 to 64 characters"},
		{c.PasscodeMin >= 4 && c.PasscodeMin <= 16, "passcode_min", "4 to 16"},
		{c.PasscodeMax >= c.PasscodeMin && c.PasscodeMax <= 16, "passcode_max", "passcode_min to 16"},
		{c.MinApplication == "" || semver.IsValid("v"+c.MinApplication), "min_application", "a version such as 1.2.3"},
		{c.SessionTime >= time.Minute && c.SessionTime <= time.Hour, "session_time", "1m to 1h"},
		{!c.EmailEnabled || c.SMTPHost == "" || c.MailFrom != "", "mail_from", "a sender where there is a mail server"},
	}...) {
		if !k.ok {
			return c.fault(k.setting, k.want)
		}
	}
	for _, f := range c.fields() {
		if n, ok := f.value.Interface().(int); ok && f.name != "smtp_port" && f.name != "text_country_default" && n < 1 {
			return c.fault(f.name, "a number from 1")
		}
	}
	return nil
}

// addresses are the rules of addresses and of the way to them.
func (c *Config) addresses() []check {
	plain := c.TLSCert == ""
	security := map[string]bool{"starttls": true, "tls": true, "none": Loopback(c.SMTPHost)}
	return append([]check{
		{hostPort(c.Listen), "listen", "an address such as 127.0.0.1:8440"},
		{!plain || Loopback(c.Listen), "listen", "a loopback address where there is no certificate; set tls_cert and tls_key to serve on others"},
		{plain == (c.TLSKey == ""), "tls_key", "both tls_cert and tls_key, or neither"},
		{c.MetricsListen == "" || hostPort(c.MetricsListen) && Loopback(c.MetricsListen), "metrics_listen", "a loopback address such as 127.0.0.1:9440"},
		{security[c.SMTPSecurity] || c.SMTPHost == "" && c.SMTPSecurity == "none", "smtp_security", "starttls or tls; none is for a mail server on this machine"},
		{c.SMTPPort >= 0 && c.SMTPPort < 1<<16, "smtp_port", "1 to 65535"},
		{c.MailFrom == "" || address(c.MailFrom), "mail_from", "an email address"},
		{c.MailReplyTo == "" || address(c.MailReplyTo), "mail_reply_to", "an email address"},
		{c.UpdateURL == "" || webAddress(c.UpdateURL), "update_url", "an address that begins with https://"},
	}, c.faces()...)
}

func hostPort(s string) bool {
	_, port, err := net.SplitHostPort(s)
	return err == nil && port != ""
}

func address(s string) bool {
	_, err := mail.ParseAddress(s)
	return err == nil
}

func webAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != ""
}

// loopbackAddress says whether s is an http:// address of this machine.
func loopbackAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "http" && Loopback(u.Host)
}

// fault is the problem of a setting. Its value is shown unless it is a secret.
func (c *Config) fault(setting, want string) error {
	p := problem.New(problem.ConfigInvalid)
	p.Detail = fmt.Sprintf("The setting %s (from %s) has a value that cannot be used: want %s.", setting, c.source(setting), want)
	for _, f := range c.fields() {
		if f.name == setting && !f.secret {
			p.Detail = fmt.Sprintf("The setting %s is %q (from %s): want %s.", setting, strings.TrimSpace(f.text()), c.source(setting), want)
		}
	}
	return p
}

func (c *Config) source(setting string) string {
	if s, ok := c.sources[setting]; ok {
		return s
	}
	return "the default"
}

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/problem"
)

// values are settings by name, or variables by theirs.
type values map[string]string

func (v values) lookup(name string) (string, bool) { text, ok := v[name]; return text, ok }

// write writes a file of the test.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, flags, environment values, path string) *Config {
	t.Helper()
	c, err := Load(flags, environment.lookup, path)
	if err != nil {
		t.Fatalf("Load: %s", problem.From(err).What())
	}
	return c
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// texts are all settings of a configuration as text.
func texts(c *Config) values {
	out := values{}
	for _, f := range c.fields() {
		out[f.name] = f.text()
	}
	return out
}

// refused makes sure that Load gives ConfigInvalid with these words, and no secret.
func refused(t *testing.T, flags, environment values, path, want string) {
	t.Helper()
	_, err := Load(flags, environment.lookup, path)
	got := problem.From(err).What()
	if problem.CodeOf(err) != problem.ConfigInvalid || !strings.Contains(got, want) || strings.Contains(fmt.Sprint(got, err), "hunter2") {
		t.Errorf("error = %v, %q, want %s, %q and no secret", err, got, problem.ConfigInvalid, want)
	}
}

// each is every setting, in order, with its default and a value from each
// place. Secrets have no flag; the default of data depends on the machine.
var each = []struct{ name, def, file, env, flag string }{
	{"data", Default().Data, "/f", "/e", "/l"}, {"database", "", "sqlite:f", "sqlite:e", ""},
	{"signing_key_file", "", "/f", "/e", "/l"}, {"node", "", "f", "e", "l"}, {"listen", "127.0.0.1:8440", "localhost:1", "[::1]:2", "127.0.0.2:3"},
	{"tls_cert", "", "/f", "/e", "/l"}, {"tls_key", "", "/f", "/e", "/l"}, {"metrics_listen", "", "localhost:1", "[::1]:2", "127.0.0.2:3"},
	{"log_level", "info", "debug", "warn", "error"}, {"log_format", "text", "json", "text", "json"},
	{"name", "latchkey", "f", "e", strings.Repeat("l", 64)}, {"organisation", "Your organisation", "f", "e", "l"},
	{"contact_name", "Your Registration Authority", "f", "e", "l"}, {"contact_phone", "", "1", "2", "3"},
	{"contact_email", "", "f@example.org", "e@example.org", "l@example.org"}, {"contact_hours", "", "9 to 5", "9 to 6", "9 to 7"},
	{"email_domains", "", "f.example,g.example", "e.example", "l.example,m.example"}, {"region", "GB", "IE", "", "US"},
	{"email_enabled", "true", "false", "true", "false"}, {"email_notice", "", "f", "e", "l"},
	{"sms_enabled", "true", "false", "true", "false"}, {"sms_notice", "", "f", "e", "l"},
	{"face_notice", "", "f", "e", "l"},
	{"face_enabled", "false", "true", "false", "true"}, {"face_provider", "latchkey", "aws", "latchkey", "aws"}, {"face_threshold", "0", "0.6", "1", "0.001"},
	{"face_models", "", "/f", "/e", "/l"}, {"face_runtime", "", "/f", "/e", "/l"}, {"face_needs_proven_card", "true", "false", "true", "false"},
	{"face_failures", "5", "1", "2", "3"}, {"face_max_failures", "50", "10", "20", "100"}, {"face_scans_per_session", "10", "1", "2", "3"},
	{"face_scans_per_card", "30", "1", "2", "3"}, {"face_scans_daily", "100", "1", "2", "3"},
	{"face_page", "", "https://f.example", "https://e.example/a", "https://l.example"},
	{"face_aws_region", "", "f", "e", "l"}, {"face_aws_endpoint", "", "https://f.example", "http://127.0.0.1:1", "https://l.example"},
	{"face_aws_confidence", "90", "1", "2", "100"}, {"face_aws_similarity", "99", "1", "2", "100"},
	{"smtp_host", "", "f.example", "e.example", "l.example"},
	{"smtp_port", "0", "25", "65535", "1"}, {"smtp_security", "starttls", "tls", "starttls", "tls"}, {"smtp_username", "", "f", "e", "l"},
	{"smtp_password", "", "f", "e", ""}, {"smtp_ca_file", "", "/f", "/e", "/l"}, {"smtp_hello", "", "f", "e", "l"},
	{"mail_from", "", "f@example.org", "E <e@example.org>", "l@example.org"}, {"mail_reply_to", "", "f@example.org", "E <e@example.org>", "l@example.org"},
	{"mail_dir", "", "/f", "/e", "/l"},
	{"text_providers", "", "notify,twilio", "smpp", "webhook,sns,smpp"}, {"message_language", "en", "cy", "en", "cy"}, {"message_dir", "", "/f", "/e", "/l"},
	{"texts_per_hour", "2000", "1", "2", "3"}, {"text_country_limits", "", "GB=1,IE=0", "FR=2", "001=3"}, {"text_country_default", "100", "0", "1", "2"},
	{"text_callback_url", "", "https://f.example", "http://127.0.0.1:1", "https://l.example:8440/v1/receipts"},
	{"notify_key", "", "f", "e", ""}, {"notify_template", "", "f", "e", "l"},
	{"notify_sender", "", "f", "e", "l"}, {"notify_callback_token", "", "f", "e", ""}, {"notify_url", "", "https://f", "https://e", "https://l"},
	{"twilio_account", "", "f", "e", "l"}, {"twilio_key", "", "f", "e", "l"}, {"twilio_secret", "", "f", "e", ""},
	{"twilio_auth_token", "", "f", "e", ""}, {"twilio_from", "", "f", "e", "l"}, {"twilio_url", "", "https://f", "https://e", "https://l"},
	{"sns_region", "", "f", "e", "l"}, {"sns_sender", "", "f", "e", "l"}, {"sns_endpoint", "", "https://f", "https://e", "https://l"},
	{"webhook_url", "", "https://f", "https://e", "https://l"}, {"webhook_secret", "", "f", "e", ""}, {"webhook_sender", "", "f", "e", "l"},
	{"smpp_address", "", "f:1", "e:2", "l:3"}, {"smpp_tls", "true", "false", "true", "false"}, {"smpp_ca_file", "", "/f", "/e", "/l"},
	{"smpp_system_id", "", "f", "e", "l"}, {"smpp_password", "", "f", "e", ""}, {"smpp_sender", "", "f", "e", "l"}, {"smpp_payload", "false", "true", "false", "true"},
	{"passcode_min", "6", "4", "5", "8"}, {"passcode_max", "8", "9", "6", "16"},
	{"passcode_digits_only", "true", "false", "true", "false"}, {"rotate_administration_keys", "false", "true", "false", "true"}, {"allow_unproven", "true", "false", "true", "false"}, {"card_roots", "", "/f", "/e", "/l"},
	{"card_authorities", "", "/f", "/e", "/l"}, {"card_revocation", "off", "crl", "ocsp", "any"}, {"card_crl", "", "/f,http://f.example/crl", "https://e.example/crl", "C:/l"},
	{"card_ocsp", "", "http://f.example", "https://e.example/a", "http://l.example"}, {"card_revocation_unknown", "refuse", "allow", "refuse", "allow"},
	{"min_application", "", "1.2.3", "2.0.0-rc.1", "3"}, {"update_url", "", "https://f.example", "https://e.example/a", "https://l.example"},
	{"session_time", "15m0s", "1m0s", "1h0m0s", "20m30s"}, {"wrong_codes", "5", "1", "2", "3"}, {"wrong_codes_daily", "20", "1", "2", "3"},
	{"holder_failures", "100", "1", "2", "3"}, {"sends_per_card", "5", "1", "2", "3"}, {"sends_per_address", "10", "1", "2", "3"},
	{"sends_per_network", "300", "1", "2", "3"}, {"sends_total", "600", "1", "2", "3"}, {"starts_per_network", "120", "1", "2", "3"},
	{"starts_total", "1200", "1", "2", "3"},
	{"key_provider", "file", "vault", "pkcs11", "file"}, {"key_file", "", "/f", "/e", "/l"}, {"key_journal", "", "/f", "off", "/l"},
	{"pkcs11_module", "", "/f", "/e", "/l"}, {"pkcs11_token", "", "f", "e", "l"}, {"pkcs11_pin", "", "f", "e", ""}, {"pkcs11_key", "latchkey", "f", "e", "l"},
	{"vault_address", "", "https://f", "http://127.0.0.1:1", "https://l"}, {"vault_token", "", "f", "e", ""}, {"vault_namespace", "", "f", "e", "l"},
	{"vault_ca_file", "", "/f", "/e", "/l"}, {"vault_mount", "transit", "f", "e", "l"}, {"vault_key", "latchkey", "f", "e", "l"},
	{"releases_minute", "300", "1", "2", "3"}, {"releases_hour", "6000", "1", "2", "3"}, {"unproven_minute", "100", "1", "2", "3"},
	{"unproven_hour", "1500", "1", "2", "3"}, {"breaker_reopen", "0s", "1m0s", "1h0m0s", "0s"},
}

// companions are settings that others need.
var companions = map[string]values{"tls_cert": {"tls_key": "/k"}, "tls_key": {"tls_cert": "/c"}, "smtp_host": {"mail_from": "a@example.org"}, "card_revocation": {"card_authorities": "/a"}}

func TestDefaults(t *testing.T) {
	t.Parallel()
	want := values{}
	for _, s := range each {
		want[s.name] = s.def
	}
	c := load(t, nil, nil, write(t, ""))
	same(t, want, texts(c))
	same(t, []string{"sqlite:" + filepath.Join(c.Data, "latchkey.db"), filepath.Join(c.Data, "kek.key"), filepath.Join(c.Data, "keys.journal"), filepath.Join(c.Data, "service.key")},
		[]string{c.DatabaseURL(), c.KeyPath(), c.JournalPath(), c.SigningKeyPath()})
	c.KeyJournal = JournalOff
	same(t, "", c.JournalPath())
}

func TestFlagOverEnvironmentOverFile(t *testing.T) {
	t.Parallel()
	for i, f := range Default().fields() {
		if i >= len(each) || each[i].name != f.name {
			t.Fatalf("%s has no line in the test", f.name)
		}
		s, secret := each[i], f.secret
		variable, option := "LATCHKEYD_"+strings.ToUpper(s.name), "--"+strings.ReplaceAll(s.name, "_", "-")
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			same(t, nil, f.set(s.file))
			f.secret = false // to be written out
			path := write(t, s.name+" = "+f.toml())
			environment, flags, want := values{}, values{}, texts(Default())
			for name, text := range companions[s.name] {
				environment["LATCHKEYD_"+strings.ToUpper(name)], want[name] = text, text
			}
			step := func(text, source string) {
				t.Helper()
				want[s.name] = text
				c := load(t, flags, environment, path)
				same(t, want, texts(c))
				same(t, source, c.source(s.name))
			}
			step(s.file, "the file "+path)
			environment[variable] = s.env
			step(s.env, "the variable "+variable)
			if !secret {
				flags[s.name] = s.flag
				step(s.flag, "the flag "+option)
			}
		})
	}
}

// Bad values are parted by a space.
func TestBadValues(t *testing.T) {
	t.Parallel()
	empty := write(t, "")
	for _, c := range []struct{ name, bad, with, want string }{
		{"data", "", "", "a folder"},
		{"listen", "8440 127.0.0.1: ::1:8440", "", "an address such as 127.0.0.1:8440"},
		{"listen", ":8440 0.0.0.0:8440 localhost.example:8440", "", "a loopback address where there is no certificate; set tls_cert and tls_key to serve on others"},
		{"tls_key", "", "tls_cert=/c", "both tls_cert and tls_key, or neither"},
		{"tls_key", "/k", "", "both tls_cert and tls_key, or neither"},
		{"metrics_listen", "0.0.0.0:9440 :9440 localhost", "", "a loopback address such as 127.0.0.1:9440"},
		{"log_level", " loud INFO", "", "debug, info, warn or error"},
		{"log_format", " xml", "", "text or json"},
		{"name", " " + strings.Repeat("n", 65), "", "1 to 64 characters"},
		{"smtp_port", "-1 65536", "", "1 to 65535"},
		{"smtp_security", " ssl", "", "starttls or tls; none is for a mail server on this machine"},
		{"smtp_security", "none", "smtp_host=mail.example.org", "starttls or tls; none is for a mail server on this machine"},
		{"mail_from", "", "smtp_host=mail.example.org", "a sender where there is a mail server"},
		{"mail_from", "nobody", "", "an email address"},
		{"mail_reply_to", "nobody", "", "an email address"},
		{"passcode_min", "3 17", "", "4 to 16"},
		{"passcode_max", "5 17", "", "passcode_min to 16"},
		{"min_application", "v1.2.3 new", "", "a version such as 1.2.3"},
		{"update_url", "http://example.org https:// example.org", "", "an address that begins with https://"},
		{"session_time", "59s 1h0m1s", "", "1m to 1h"},
		{"face_provider", " azure", "", "latchkey or aws"},
		{"face_threshold", "-0.1 1.01 NaN", "", "0 to 1"},
		{"face_max_failures", "4 101", "", "face_failures to 100"},
		{"face_page", "face http://face.example.org", "", "an address that begins with https://"},
		{"face_aws_endpoint", "face http://face.example.org", "", "an address that begins with https://"},
		{"face_aws_confidence", "101", "", "1 to 100"},
		{"face_aws_similarity", "101", "", "1 to 100"},
		{"text_providers", "pigeon notify,notify", "", "notify, twilio, sns, webhook, smpp, each once at most"},
		{"message_language", " de", "", "en or cy"},
		{"text_country_limits", "GB GB= GB=-1 gb=1 GBR=1 GB=1,GB=2", "", "countries with a number, such as GB=2000,IE=200"},
		{"text_country_default", "-1", "", "a number from 0"},
		{"texts_per_hour", "0", "", "a number from 1"},
		{"text_callback_url", "http://example.org example.org", "", "an address that begins with https://"},
		{"card_roots", "/r", "card_authorities=/a", "nothing where card_authorities is set: those count for certificates that a card brings, too"},
		{"card_revocation", " on CRL", "card_authorities=/a", "off, crl, ocsp or any"},
		{"card_revocation", "crl ocsp any", "", "off where card_authorities is not set"},
		{"card_crl", "ldap://crl.example/ http:// http://u:p@crl.example/ /f,/f", "", "files or addresses that begin with http:// or https://, each once at most"},
		{"card_ocsp", "ocsp.example ldap://ocsp.example", "", "an address that begins with http:// or https://"},
		{"card_revocation_unknown", " ask", "", "refuse or allow"},
		{"key_provider", " cloud", "", "file, pkcs11 or vault"},
		{"vault_address", "http://vault.example.org:8200 vault", "", "an address that begins with https://; http:// on this machine only"},
		{"breaker_reopen", "-1s", "", "a time, or 0"},
		{"releases_minute", "0", "", "a number from 1"},
	} {
		for _, bad := range strings.Split(c.bad, " ") {
			other, text, _ := strings.Cut(c.with, "=")
			words := fmt.Sprintf("The setting %s is %q (from the flag --%s): want %s.", c.name, bad, flagName(c.name), c.want)
			refused(t, values{other: text, c.name: bad}, nil, empty, words)
		}
	}
}

func TestValuesOfTheWrongType(t *testing.T) {
	t.Parallel()
	empty := write(t, "")
	wants := map[string]string{"bool": "true or false", "int": "a whole number", "time.Duration": "a time such as 15m"}
	for _, f := range Default().fields() {
		want, ok := wants[f.value.Type().String()]
		if !ok {
			continue
		}
		path, variable := write(t, f.name+" = 'x'"), "LATCHKEYD_"+strings.ToUpper(f.name)
		words := "The setting " + f.name + " (from %s) has a value that cannot be used: want " + want + "."
		refused(t, nil, nil, path, fmt.Sprintf(words, "the file "+path))
		refused(t, nil, values{variable: ""}, empty, fmt.Sprintf(words, "the variable "+variable))
		refused(t, values{f.name: "1.5"}, nil, empty, fmt.Sprintf(words, "the flag --"+flagName(f.name)))
		if want == "a whole number" && f.name != "smtp_port" && f.name != "text_country_default" { // these can be 0
			refused(t, values{f.name: "0"}, nil, empty, "The setting "+f.name+` is "0"`)
		}
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.toml")
	refused(t, nil, nil, missing, "The configuration file cannot be read: open "+missing)
	refused(t, nil, values{"LATCHKEYD_CONFIG": missing}, "", "The configuration file cannot be read: open "+missing)
	for text, want := range map[string]string{
		"smtp_password = hunter2":               " is not TOML: ",
		"smtp_pasword = 'hunter2'\nhost = 'h'":  " has settings that are not known: host, smtp_pasword.",
		"[smtp]\npassword = 'hunter2'":          " has settings that are not known: smtp.",
		"database = 'hunter2'\nlog_level = 'x'": "): want debug, info, warn or error.",
	} {
		path := write(t, text)
		refused(t, nil, nil, path, path+want)
	}
}

func TestFileOfTheVariable(t *testing.T) {
	t.Parallel()
	named := values{"LATCHKEYD_CONFIG": write(t, "node = 'named'")}
	same(t, "named", load(t, nil, named, "").Node)
	same(t, "given", load(t, nil, named, write(t, "node = 'given'")).Node)
}

func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	empty, folder := write(t, ""), t.TempDir()
	missing := filepath.Join(folder, "missing")
	for setting, name := range map[string]string{"database": "LATCHKEYD_DATABASE", "smtp_password": "LATCHKEYD_SMTP_PASSWORD"} {
		for text, want := range map[string]string{"hunter2": "hunter2", "hunter2\n": "hunter2", "hunter2\r\n": "hunter2", " a\nb \n\n": " a\nb ", "": ""} {
			c := load(t, nil, values{name + "_FILE": write(t, text)}, write(t, setting+" = 'of the file'"))
			same(t, want, texts(c)[setting])
			same(t, "the variable "+name+"_FILE", c.source(setting))
		}
		refused(t, nil, values{name + "_FILE": missing}, empty, "The file that "+name+"_FILE names cannot be read: open "+missing)
		refused(t, nil, values{name + "_FILE": folder}, empty, "The file that "+name+"_FILE names cannot be read: read "+folder)
		refused(t, nil, values{name + "_FILE": missing, name: "hunter2"}, empty, "Both "+name+" and "+name+"_FILE are set: set one of them.")
	}
	same(t, texts(Default()), texts(load(t, nil, values{"LATCHKEYD_NODE_FILE": missing}, empty))) // no secret
}

func TestPrintHidesSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ setting, secret, shown string }{
		"password":              {"smtp_password", "hunter2", "(hidden)"},
		"SQLite":                {"database", "sqlite:/srv/l.db", "sqlite:/srv/l.db"},
		"no password":           {"database", "postgres://u@h/l", "postgres://u@h/l"},
		"PostgreSQL":            {"database", "postgres://u:hunter2@h:5432/l", "postgres://u:xxxxx@h:5432/l"},
		"in the query":          {"database", "postgresql:///l?user=u&password=hunter2", "postgresql:///l"},
		"words":                 {"database", "host=h user=u password=hunter2", "(hidden)"},
		"not a URL":             {"database", "postgres://u:%hunter2@h/l", "(hidden)"},
		"number sign in it":     {"database", "postgres://u:1#hunter2@h/l", "(hidden)"},
		"slash in it":           {"database", "postgres://u:1/hunter2@h/l", "(hidden)"},
		"without the two lines": {"database", "postgres:u:hunter2@h/l", "(hidden)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, variable := write(t, fmt.Sprintf("%s = %q", c.setting, c.secret)), "LATCHKEYD_"+strings.ToUpper(c.setting)
			for source, loaded := range map[string]*Config{
				"the file " + path:                   load(t, nil, nil, path),
				"the variable " + variable:           load(t, nil, values{variable: c.secret}, write(t, "")),
				"the variable " + variable + "_FILE": load(t, nil, values{variable + "_FILE": write(t, c.secret)}, write(t, "")),
			} {
				out, line := printed(loaded), fmt.Sprintf("\n%s = %q # %s\n", c.setting, c.shown, source)
				if !strings.Contains(out, line) || strings.Contains(out, "hunter2") {
					t.Errorf("no line %q in:\n%s", line, out)
				}
			}
		})
	}
}

func printed(c *Config) string {
	var out strings.Builder
	_ = c.Print(&out) // writing to a Builder cannot fail
	return out.String()
}

func TestPrintedIsAFileThatCanBeLoaded(t *testing.T) {
	t.Parallel()
	flags := values{"mail_from": `"A, B" <a@example.org>`, "email_domains": "a.example, b.example", "sms_notice": "# = \\ \n\"é\""}
	c := load(t, flags, nil, write(t, ""))
	same(t, texts(c), texts(load(t, nil, nil, write(t, printed(c)))))
}

func TestFlagsAreEverySettingButSecrets(t *testing.T) {
	t.Parallel()
	flags, want := NewFlags(), values{}
	same(t, values{}, values(flags.Values()))
	for _, f := range Default().fields() {
		if !f.secret {
			want[f.name] = strings.ReplaceAll(f.name, "_", "-")
		}
	}
	given := reflect.ValueOf(flags.Struct()).Elem()
	same(t, len(want), given.NumField())
	for i := range given.NumField() {
		text := given.Type().Field(i).Tag.Get("name")
		given.Field(i).Set(reflect.ValueOf(&text))
	}
	same(t, want, values(flags.Values()))
}

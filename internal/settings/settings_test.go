package settings

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"latchkey/internal/problem"
)

// The tests' own environment has no settings in it.
func TestMain(m *testing.M) {
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "LATCHKEY_") {
			_ = os.Unsetenv(name) // a name from the environment is good
		}
	}
	os.Exit(m.Run())
}

// write writes a file of the test.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "latchkey.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load gives the settings of a command line with a machine's file.
func load(t *testing.T, path string, args ...string) (Settings, error) {
	t.Helper()
	resolver, err := Resolver(path, os.LookupEnv)
	if err != nil {
		t.Fatalf("Resolver: %s", problem.From(err).What())
	}
	var s Settings
	parser, err := kong.New(&s, kong.Resolvers(resolver))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return s, err
}

func loaded(t *testing.T, want Settings, path string, args ...string) {
	t.Helper()
	got, err := load(t, path, args...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// refused makes sure that err has this code and these words.
func refused(t *testing.T, err error, code problem.Code, words string) {
	t.Helper()
	if got := fmt.Sprint(err, " ", problem.From(err).What()); problem.CodeOf(err) != code || !strings.Contains(got, words) {
		t.Errorf("error = %s, want %s with %q", got, code, words)
	}
}

func TestWholeFile(t *testing.T) {
	t.Parallel()
	loaded(t, Settings{Service: "https://unlock.example.org", ServiceKey: "a2V5", CAFile: "/etc/ca.pem", Reader: "Reader 1, left", Organisation: "St Example's",
		Logo: "/logo.svg", Listen: "127.0.0.1:8000", NoBrowser: true}, write(t, `
		service = "https://unlock.example.org"
		service_key = "a2V5"
		ca_file = "/etc/ca.pem"
		reader = "Reader 1, left"
		organisation = "St Example's"
		logo = "/logo.svg"
		listen = "127.0.0.1:8000"
		no_browser = true`))
}

func TestNoSettings(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"no file":           filepath.Join(t.TempDir(), "missing.toml"),
		"no folder":         filepath.Join(t.TempDir(), "missing", "latchkey.toml"),
		"an empty file":     write(t, ""),
		"a file of remarks": write(t, "# service = 'https://unlock.example.org'\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loaded(t, Settings{}, path)
		})
	}
}

// Not parallel: kong reads the environment itself.
func TestFlagOverEnvironmentOverFile(t *testing.T) {
	for i := range reflect.TypeFor[Settings]().NumField() {
		field := reflect.TypeFor[Settings]().Field(i)
		flag, variable := field.Tag.Get("name"), field.Tag.Get("env")
		if field.Name == "Verbose" { // a flag alone
			continue
		}
		t.Run(field.Name, func(t *testing.T) {
			key, want := strings.ReplaceAll(flag, "-", "_"), Settings{}
			set := reflect.ValueOf(&want).Elem().Field(i)
			if field.Type.Kind() == reflect.Bool {
				set.SetBool(true)
				loaded(t, want, write(t, key+" = true"))
				loaded(t, Settings{}, write(t, key+" = false"))
				t.Setenv(variable, "false")
				loaded(t, Settings{}, write(t, key+" = true"))
				loaded(t, want, write(t, key+" = false"), "--"+flag)
				return
			}
			put := set.SetString
			if field.Type.Kind() == reflect.Slice {
				put = func(text string) { set.Set(reflect.ValueOf([]string{text})) }
			}
			path := write(t, key+" = 'of the file'")
			put("of the file")
			loaded(t, want, path)
			t.Setenv(variable, "of the environment")
			put("of the environment")
			loaded(t, want, path)
			put("of the flag")
			loaded(t, want, path, "--"+flag, "of the flag")
			if field.Type.Kind() == reflect.String {
				t.Setenv(variable, "")
				put("")
				loaded(t, want, path)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"not TOML":         {"service: https://unlock.example.org", "cannot be used: toml: "},
		"open quotes":      {"service = 'https://unlock.example.org", "cannot be used: toml: "},
		"twice":            {"reader = 'a'\nreader = 'b'", "cannot be used: toml: "},
		"not text":         {"\x00\x01\xff", "cannot be used: toml: "},
		"unknown settings": {"servce = 'x'\nreader = 'a'\nbrowser = 'b'", "has settings that are not known: browser, servce."},
		"hyphens":          {"ca-file = '/ca.pem'", "has settings that are not known: ca-file."},
		"a flag alone":     {"verbose = true", "has settings that are not known: verbose."},
		"in a table":       {"[latchkey]\nservice = 'x'", "has settings that are not known: latchkey."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, c.text)
			_, err := Resolver(path, os.LookupEnv)
			refused(t, err, problem.ConfigInvalid, "The configuration file "+path+" "+c.want)
		})
	}
	folder := t.TempDir()
	_, err := Resolver(folder, os.LookupEnv)
	refused(t, err, problem.ConfigInvalid, "The configuration file "+folder+" cannot be used: read ")
}

func TestBadValueNamesTheSetting(t *testing.T) {
	t.Parallel()
	if _, err := load(t, write(t, "no_browser = 'maybe'")); err == nil || !strings.Contains(err.Error(), "--no-browser") {
		t.Errorf("error = %v", err)
	}
}

func TestMachineFile(t *testing.T) {
	t.Parallel()
	getenv := func(name string) string { return map[string]string{"ProgramData": "data"}[name] }
	for goos, want := range map[string]string{
		"linux":   "/etc/latchkey/latchkey.toml",
		"freebsd": "/etc/latchkey/latchkey.toml",
		"darwin":  "/Library/Application Support/Latchkey/latchkey.toml",
		"windows": filepath.Join("data", "Latchkey", "latchkey.toml"),
	} {
		if diff := cmp.Diff(want, MachineFile(goos, getenv)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", goos, diff)
		}
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	const address = "https://unlock.example.org"
	none := write(t, "none")
	for name, c := range map[string]struct {
		settings Settings
		code     problem.Code
		words    string
	}{
		"https":                       {Settings{Service: address + "/"}, "", ""},
		"http on this computer":       {Settings{Service: "http://127.0.0.1:8440"}, "", ""},
		"no service":                  {Settings{}, problem.ServiceUnset, ""},
		"http elsewhere":              {Settings{Service: "http://unlock.example.org"}, problem.ServicePlain, ""},
		"no scheme":                   {Settings{Service: "unlock.example.org"}, problem.ConfigInvalid, `"unlock.example.org"`},
		"another scheme":              {Settings{Service: "ftp://unlock.example.org"}, problem.ConfigInvalid, "does not begin with https://"},
		"authorities missing":         {Settings{Service: address, CAFile: none + "x"}, problem.ConfigInvalid, "certificate authorities: open " + none + "x"},
		"authorities that are none":   {Settings{Service: address, CAFile: none}, problem.ConfigInvalid, none + " holds no certificate"},
		"a key where a CA was wanted": {Settings{Service: address, CAFile: write(t, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}, problem.ConfigInvalid, "holds no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := c.settings.Client()
			refused(t, err, c.code, c.words)
			if err == nil && client.Address() != strings.TrimSuffix(c.settings.Service, "/") {
				t.Errorf("address = %q", client.Address())
			}
		})
	}
}

func TestClientTrustsTheAuthorities(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	authorities := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	for file, code := range map[string]problem.Code{authorities: "", "": problem.ServiceCertificate} {
		client, err := Settings{Service: server.URL, CAFile: file}.Client()
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Service(t.Context())
		refused(t, err, code, "")
	}
}

func TestPins(t *testing.T) {
	t.Parallel()
	key, other := bytes.Repeat([]byte{1}, ed25519.PublicKeySize), bytes.Repeat([]byte{2}, ed25519.PublicKeySize)
	one, two := base64.StdEncoding.EncodeToString(key), base64.StdEncoding.EncodeToString(other)
	for name, c := range map[string]struct {
		pinned, before string // the key that was set, the known services
		code           problem.Code
		after          string
	}{
		"the first is kept":       {"", "", "", "https://a " + one + "\n"},
		"beside others":           {"", "https://b " + two + "\n", "", "https://b " + two + "\nhttps://a " + one + "\n"},
		"after a line cut short":  {"", "https://b " + two, "", "https://b " + two + "\nhttps://a " + one + "\n"},
		"one that is known":       {"", "https://a " + one + "\n", "", "https://a " + one + "\n"},
		"another than before":     {"", "https://a " + two + "\n", problem.ServicePin, "https://a " + two + "\n"},
		"a damaged file":          {"", "https://a AAAA\n", problem.ServicePin, "https://a AAAA\n"},
		"the one that was set":    {" " + one + "\n", "", "", ""},
		"another than was set":    {two, "https://a " + one + "\n", problem.ServicePin, "https://a " + one + "\n"},
		"a key that is no base64": {"key!", "", problem.ConfigInvalid, ""},
		"a key that is too short": {"AAAA", "", problem.ConfigInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			path := filepath.Join(folder, "latchkey", "known_services")
			if c.before != "" {
				err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(c.before), 0o600))
				if err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // the second time loads what the first saved
				pins, err := Settings{ServiceKey: c.pinned}.Pins(folder)
				if err == nil {
					err = pins.Check("https://a", key)
				}
				refused(t, err, c.code, "")
			}
			after, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.after, string(after)); diff != "" {
				t.Errorf("known services (-want +got):\n%s", diff)
			}
		})
	}
}

// Package settings is the application's configuration on a workstation. The
// service's address and key come from the machine's configuration, never from
// a link or a page (unlocking.md, The pages).
//
// A flag wins over the variable LATCHKEY_NAME, that over the machine's file,
// that over the default.
package settings

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/card/recognise"
	"latchkey/internal/problem"
)

// Settings are the application's settings, as flags of a kong command line.
type Settings struct {
	Service      string   `name:"service" env:"LATCHKEY_SERVICE" placeholder:"URL" help:"Address of the service, such as https://unlock.example.org."`
	ServiceKey   string   `name:"service-key" env:"LATCHKEY_SERVICE_KEY" placeholder:"KEY" help:"The service's signing key (base64); without it the first one seen is trusted."`
	CAFile       string   `name:"ca-file" env:"LATCHKEY_CA_FILE" placeholder:"FILE" help:"Certificate authorities (PEM) to trust beside the system's."`
	Reader       string   `name:"reader" env:"LATCHKEY_READER" placeholder:"NAME" help:"Use this card reader only."`
	Families     []string `name:"families" env:"LATCHKEY_FAMILIES" placeholder:"NAME,..." help:"Families of cards that are unlocked, the most usual first: piv, gids, openpgp, iso7816. Default: all, in this order."`
	CardProfiles []string `name:"card-profiles" env:"LATCHKEY_CARD_PROFILES" placeholder:"NAME,..." help:"Profiles of further cards, by name or file (docs/card-profiles.md); the first that fits counts."`
	Organisation string   `name:"organisation" env:"LATCHKEY_ORGANISATION" placeholder:"NAME" help:"The organisation's name, for the pages."`
	Logo         string   `name:"logo" env:"LATCHKEY_LOGO" placeholder:"FILE" help:"The organisation's logo (SVG, PNG or JPEG), for the pages."`
	Listen       string   `name:"listen" env:"LATCHKEY_LISTEN" placeholder:"HOST:PORT" help:"Loopback address of the pages; default is any free port."`
	NoBrowser    bool     `name:"no-browser" env:"LATCHKEY_NO_BROWSER" help:"Print the pages' address instead of opening a window."`
	Verbose      bool     `name:"verbose" short:"v" help:"Log what is being done."`
}

// MachineFile is where the machine's configuration is kept on an operating
// system.
func MachineFile(goos string, getenv func(string) string) string {
	switch goos {
	case "windows":
		return filepath.Join(getenv("ProgramData"), "Latchkey", "latchkey.toml")
	case "darwin":
		return "/Library/Application Support/Latchkey/latchkey.toml"
	}
	return "/etc/latchkey/latchkey.toml"
}

// Resolver gives kong the values of a configuration file. A file that is not
// there is none; keys are the flags' names with underscores. Error:
// problem.ConfigInvalid.
func Resolver(path string, lookup func(string) (string, bool)) (kong.Resolver, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return kong.ResolverFunc(func(*kong.Context, *kong.Path, *kong.Flag) (any, error) { return nil, nil }), nil
	}
	var values map[string]any
	if err == nil {
		err = toml.Unmarshal(raw, &values)
	}
	if err != nil {
		p := problem.Wrap(problem.ConfigInvalid, err)
		p.Detail = fmt.Sprintf("The configuration file %s cannot be used: %v.", path, err)
		return nil, p
	}
	if err := known(path, values); err != nil {
		return nil, err
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if _, set := lookup(name); set {
				return nil, nil
			}
		}
		v, ok := values[strings.ReplaceAll(flag.Name, "-", "_")]
		if !ok {
			return nil, nil
		}
		if list, ok := v.([]any); ok {
			words := make([]string, len(list))
			for i, word := range list {
				words[i] = fmt.Sprint(word)
			}
			return strings.Join(words, ","), nil
		}
		return fmt.Sprint(v), nil
	}), nil
}

// known refuses keys that no setting has.
func known(path string, values map[string]any) error {
	names := map[string]bool{"service": true, "service_key": true, "ca_file": true, "reader": true, "organisation": true,
		"logo": true, "listen": true, "no_browser": true, "families": true, "card_profiles": true}
	var others []string
	for name := range values {
		if !names[name] {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return nil
	}
	sort.Strings(others)
	p := problem.New(problem.ConfigInvalid)
	p.Detail = fmt.Sprintf("The configuration file %s has settings that are not known: %s.", path, strings.Join(others, ", "))
	return p
}

// Client is the client of the service. Errors: problem.ServiceUnset,
// ServicePlain, ConfigInvalid.
func (s Settings) Client() (*api.Client, error) {
	if s.CAFile == "" {
		return api.NewClient(s.Service, nil)
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("certificate authorities: %w", err))
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("%s holds no certificate", s.CAFile))
	}
	return api.NewClient(s.Service, roots)
}

// Recogniser knows the cards that are unlocked here. The profiles are read and
// checked. Error: problem.ConfigInvalid.
func (s Settings) Recogniser() (recognise.Recogniser, error) {
	var r recognise.Recogniser
	for _, name := range s.Families {
		f := card.Family(strings.ToLower(strings.TrimSpace(name)))
		if !slices.Contains(recognise.All(), f) {
			p := problem.New(problem.ConfigInvalid)
			p.Detail = fmt.Sprintf("The family of cards %.40q is not known: use piv, gids, openpgp and iso7816.", name)
			return r, p
		}
		r.Families = append(r.Families, f)
	}
	var err error
	if r.Profiles, err = iso7816.Load(s.CardProfiles...); err != nil {
		p := problem.Wrap(problem.ConfigInvalid, err)
		p.Detail = fmt.Sprintf("A card profile cannot be used: %v.", err)
		return recognise.Recogniser{}, p
	}
	return r, nil
}

// Pins are the known keys of services. folder is the user's own configuration
// folder.
func (s Settings) Pins(folder string) (*api.Pins, error) {
	return api.NewPins(s.ServiceKey, filepath.Join(folder, "latchkey", "known_services"))
}

// ContactFile is where the Registration Authority's contact is kept for when
// the service cannot be reached.
func ContactFile(folder string) string { return filepath.Join(folder, "latchkey", "contact.json") }

package iso7816

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

//go:embed profiles/*.toml
var shipped embed.FS

// maxFile bounds a profile file, in bytes.
const maxFile = 64 << 10

// Parse reads and checks a profile file. Fields that are not known are faults:
// a misspelt one would leave a card with a default that is not its own.
func Parse(raw []byte) (Profile, error) {
	var p Profile
	if len(raw) > maxFile {
		return p, errors.New("it is larger than 64 KiB")
	}
	d := toml.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return p, fmt.Errorf("fields that are not known:\n%s", strict.String())
		}
		return p, err
	}
	return p, p.Check()
}

// Names are the names of the profiles that come with the program.
func Names() []string {
	files, err := fs.Glob(shipped, "profiles/*.toml")
	if err != nil { // the pattern is right
		return nil
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(path.Base(f), ".toml"))
	}
	sort.Strings(names)
	return names
}

// Source is the text of a profile: of one that comes with the program by its
// name, else of a file by its path.
func Source(nameOrPath string) ([]byte, error) {
	if nameForm.MatchString(nameOrPath) {
		if raw, err := shipped.ReadFile("profiles/" + nameOrPath + ".toml"); err == nil {
			return raw, nil
		}
	}
	raw, err := os.ReadFile(nameOrPath)
	if errors.Is(err, fs.ErrNotExist) && nameForm.MatchString(nameOrPath) {
		return nil, fmt.Errorf("no profile %s comes with the program (%s do), and there is no such file", nameOrPath, strings.Join(Names(), ", "))
	}
	return raw, err
}

// Load reads and checks profiles by name or path, in the order in which cards
// are compared with them.
func Load(namesOrPaths ...string) ([]Profile, error) {
	var list []Profile
	seen := map[string]bool{}
	for _, n := range namesOrPaths {
		raw, err := Source(n)
		if err != nil {
			return nil, fmt.Errorf("card profile: %w", err)
		}
		p, err := Parse(raw)
		if err == nil && seen[p.Name] {
			err = fmt.Errorf("another profile is called %s too", p.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("card profile %s: %w", n, err)
		}
		seen[p.Name] = true
		list = append(list, p)
	}
	return list, nil
}

package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"latchkey/internal/problem"
)

const prefix = "LATCHKEYD_"

// systemFile is read where no other file is named and it is there.
const systemFile = "/etc/latchkey/latchkeyd.toml"

// field is one setting of a Config.
type field struct {
	name, help string
	secret     bool
	value      reflect.Value
}

func (c *Config) fields() []field { return fieldsOf(reflect.ValueOf(c).Elem()) }

// fieldsOf gives the settings of a struct, and of those that are embedded in it
// at their place.
func fieldsOf(v reflect.Value) []field {
	var out []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if name := f.Tag.Get("name"); name != "" {
			out = append(out, field{name: name, help: f.Tag.Get("help"), secret: f.Tag.Get("secret") != "", value: v.Field(i)})
		} else if f.Anonymous {
			out = append(out, fieldsOf(v.Field(i))...)
		}
	}
	return out
}

// text is the value as it is written in the environment.
func (f field) text() string {
	if list, ok := f.value.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(f.value.Interface())
}

// set takes a value from its text.
func (f field) set(text string) error {
	switch f.value.Interface().(type) {
	case string:
		f.value.SetString(text)
	case []string:
		var list []string
		for _, item := range strings.Split(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		f.value.Set(reflect.ValueOf(list))
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("true or false")
		}
		f.value.SetBool(b)
	case int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("a whole number")
		}
		f.value.SetInt(int64(n))
	case float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("a number such as 0.5")
		}
		f.value.SetFloat(n)
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("a time such as 15m")
		}
		f.value.SetInt(int64(d))
	}
	return nil
}

// Load reads the configuration. flags are by setting name; getenv is
// os.LookupEnv; file is the one that was named, or "".
func Load(flags map[string]string, lookup func(string) (string, bool), file string) (*Config, error) {
	c := Default()
	if err := c.loadFile(lookup, file); err != nil {
		return nil, err
	}
	for _, f := range c.fields() {
		if err := c.loadVariable(f, lookup); err != nil {
			return nil, err
		}
		if text, ok := flags[f.name]; ok {
			if err := c.take(f, text, "the flag --"+flagName(f.name)); err != nil {
				return nil, err
			}
		}
	}
	return c, c.Validate()
}

func (c *Config) take(f field, text, source string) error {
	c.sources[f.name] = source
	if want := f.set(text); want != nil {
		p := problem.New(problem.ConfigInvalid)
		p.Detail = fmt.Sprintf("The setting %s (from %s) has a value that cannot be used: want %s.", f.name, source, want)
		return p
	}
	return nil
}

func (c *Config) loadVariable(f field, lookup func(string) (string, bool)) error {
	name := prefix + strings.ToUpper(f.name)
	text, ok := lookup(name)
	if f.secret {
		path, fromFile := lookup(name + "_FILE")
		switch {
		case ok && fromFile:
			p := problem.New(problem.ConfigInvalid)
			p.Detail = fmt.Sprintf("Both %s and %s_FILE are set: set one of them.", name, name)
			return p
		case fromFile:
			raw, err := os.ReadFile(path)
			if err != nil {
				p := problem.Wrap(problem.ConfigInvalid, err)
				p.Detail = fmt.Sprintf("The file that %s_FILE names cannot be read: %v.", name, err)
				return p
			}
			name, text, ok = name+"_FILE", strings.TrimRight(string(raw), "\r\n"), true
		}
	}
	if !ok {
		return nil
	}
	return c.take(f, text, "the variable "+name)
}

func (c *Config) loadFile(lookup func(string) (string, bool), path string) error {
	if path == "" {
		path, _ = lookup(prefix + "CONFIG")
	}
	if path == "" {
		if _, err := os.Stat(systemFile); err != nil {
			return nil
		}
		path = systemFile
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		p := problem.Wrap(problem.ConfigInvalid, err)
		p.Detail = fmt.Sprintf("The configuration file cannot be read: %v.", err)
		return p
	}
	var values map[string]any
	if err := toml.Unmarshal(raw, &values); err != nil {
		p := problem.Wrap(problem.ConfigInvalid, err)
		p.Detail = fmt.Sprintf("The configuration file %s is not TOML: %v.", path, err)
		return p
	}
	for _, f := range c.fields() {
		v, ok := values[f.name]
		delete(values, f.name)
		if !ok {
			continue
		}
		if err := c.take(f, tomlText(v), "the file "+path); err != nil {
			return err
		}
	}
	return unknownKeys(path, values)
}

func unknownKeys(path string, left map[string]any) error {
	if len(left) == 0 {
		return nil
	}
	var names []string
	for name := range left {
		names = append(names, name)
	}
	sort.Strings(names)
	p := problem.New(problem.ConfigInvalid)
	p.Detail = fmt.Sprintf("The configuration file %s has settings that are not known: %s.", path, strings.Join(names, ", "))
	return p
}

func tomlText(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	var items []string
	for _, item := range list {
		items = append(items, fmt.Sprint(item))
	}
	return strings.Join(items, ",")
}

// Print writes the effective configuration as a TOML file, each value with
// where it came from, secrets hidden.
func (c *Config) Print(w io.Writer) error {
	for _, f := range c.fields() {
		if _, err := fmt.Fprintf(w, "# %s\n%s = %s # %s\n\n", f.help, f.name, f.toml(), c.source(f.name)); err != nil {
			return err
		}
	}
	return nil
}

func (f field) toml() string {
	switch v := f.value.Interface().(type) {
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case bool, int, float64:
		return fmt.Sprint(v)
	}
	text := f.text()
	if f.secret && text != "" {
		text = hide(text)
	}
	return strconv.Quote(text)
}

// hide keeps of a secret what is none: a database's address without its
// password.
func hide(secret string) string {
	u, err := url.Parse(secret)
	if err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		if u.Opaque+u.Fragment != "" || strings.Contains(u.Path, "@") {
			return "(hidden)" // a password with a sign that ends it too early
		}
		u.RawQuery = "" // it may hold a password too
		return u.Redacted()
	}
	if strings.HasPrefix(secret, "sqlite:") {
		return secret
	}
	return "(hidden)"
}

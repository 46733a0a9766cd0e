package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Flags are the settings as flags of a kong command line. Secrets are not
// among them: other users of a machine can see command lines.
type Flags struct{ fields reflect.Value }

// NewFlags makes the flags.
func NewFlags() Flags {
	text := reflect.TypeFor[*string]()
	var fields []reflect.StructField
	for _, f := range Default().fields() {
		if f.secret {
			continue
		}
		placeholder := "TEXT"
		if f.text() != "" {
			placeholder = f.text()
		}
		fields = append(fields, reflect.StructField{Name: goName(f.name), Type: text,
			Tag: reflect.StructTag(fmt.Sprintf(`name:%q help:%q placeholder:%q group:"Settings"`, flagName(f.name), f.help, placeholder))})
	}
	return Flags{reflect.New(reflect.StructOf(fields))}
}

// Struct is what kong fills in.
func (f Flags) Struct() any { return f.fields.Interface() }

// Values are the flags that were given, by setting name.
func (f Flags) Values() map[string]string {
	out := map[string]string{}
	for _, s := range Default().fields() {
		if s.secret {
			continue
		}
		if p, ok := f.fields.Elem().FieldByName(goName(s.name)).Interface().(*string); ok && p != nil {
			out[s.name] = *p
		}
	}
	return out
}

func flagName(setting string) string { return strings.ReplaceAll(setting, "_", "-") }

func goName(setting string) string {
	var out strings.Builder
	for _, part := range strings.Split(setting, "_") {
		out.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return out.String()
}

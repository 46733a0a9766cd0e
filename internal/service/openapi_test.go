package service_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"latchkey/internal/api"
	"latchkey/internal/problem"
)

// description is the part of openapi.yaml that the program can prove wrong.
type description struct {
	OpenAPI string
	Info    struct{ Version, Description string }
	Paths   map[string]struct {
		Parameters []any
		Calls      map[string]described `yaml:",inline"` // by method
	}
	Components struct {
		Schemas   map[string]*schema
		Responses map[string]response
	}
}

type described struct {
	Security    *[]any
	RequestBody struct{ Content content } `yaml:"requestBody"`
	Responses   map[string]response
}

type response struct {
	Ref     string `yaml:"$ref"`
	Headers map[string]any
	Content content
}

type content map[string]struct{ Schema *schema }

type schema struct {
	Ref             string `yaml:"$ref"`
	Type, Format    string
	ContentEncoding string `yaml:"contentEncoding"`
	Items           *schema
	Values          *schema `yaml:"additionalProperties"`
	Properties      map[string]*schema
	Required, Enum  []string
}

// kind is what a value may be, in the words of kindOf.
func (s *schema) kind() string {
	switch {
	case s.Ref != "":
		return "a " + refName(s.Ref)
	case s.Type == "array" && s.Items != nil:
		return "list of " + s.Items.kind()
	case s.Type == "object" && s.Values != nil:
		return "map of " + s.Values.kind()
	case s.Format == "date-time" || s.Format == "int64":
		return s.Type + " " + s.Format
	}
	return strings.TrimSpace(s.Type + " " + s.ContentEncoding)
}

func refName(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// readDescription reads openapi.yaml. A key that is there twice is an error.
func readDescription(t *testing.T) (d description, tree any) {
	t.Helper()
	raw, err := os.ReadFile("../api/openapi.yaml")
	if err == nil {
		err = yaml.Unmarshal(raw, &d)
	}
	if err == nil {
		err = yaml.Unmarshal(raw, &tree)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d, tree
}

// calls are the described calls by method and path.
func (d description) calls() map[string]described {
	all := map[string]described{}
	for path, item := range d.Paths {
		for method, c := range item.Calls {
			all[strings.ToUpper(method)+" "+path] = c
		}
	}
	return all
}

// wireTypes are the Go sources of one package: its structs with members on the
// wire and its text constants by type.
type wireTypes struct {
	structs map[string][]*ast.Field
	values  map[string][]string
}

func sources(t *testing.T, pattern string) wireTypes {
	t.Helper()
	w := wireTypes{map[string][]*ast.Field{}, map[string][]string{}}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok && slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool { return f.Tag != nil }) {
					w.structs[n.Name.Name] = s.Fields.List
				}
			case *ast.ValueSpec:
				w.constant(n)
			}
			return true
		})
	}
	return w
}

func (w wireTypes) constant(n *ast.ValueSpec) {
	kind, ok := n.Type.(*ast.Ident)
	if !ok || len(n.Values) != 1 {
		return
	}
	if literal, ok := n.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
		value, _ := strconv.Unquote(literal.Value)
		w.values[kind.Name] = append(w.values[kind.Name], value)
	}
}

// member gives a field's name on the wire and whether it is always there.
func member(f *ast.Field) (name string, required bool) {
	if f.Tag == nil {
		return "", false
	}
	tag, _ := strconv.Unquote(f.Tag.Value)
	name, options, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	return name, options != "omitempty"
}

// kindOf is what encoding/json makes of a Go type.
func kindOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return kindOf(e.X)
	case *ast.SelectorExpr:
		if e.Sel.Name == "Time" {
			return "string date-time"
		}
	case *ast.ArrayType:
		if item, ok := e.Elt.(*ast.Ident); ok && item.Name == "byte" {
			return "string base64"
		}
		return "list of " + kindOf(e.Elt)
	case *ast.MapType:
		return "map of " + kindOf(e.Value)
	case *ast.Ident:
		switch e.Name {
		case "bool":
			return "boolean"
		case "int":
			return "integer"
		case "int64":
			return "integer int64"
		case "string", "Code":
			return "string"
		}
		return "a " + e.Name
	}
	return fmt.Sprintf("%T", e)
}

// TestDescribedTypes: openapi.yaml has every type of the wire with all of its
// members and values, and none more.
func TestDescribedTypes(t *testing.T) {
	d, _ := readDescription(t)
	wire := sources(t, "../api/*.go")
	wire.structs["Problem"] = sources(t, "../problem/problem.go").structs["wire"]
	left := maps.Clone(d.Components.Schemas)
	delete(left, "Health") // one word, without a type
	for name, fields := range wire.structs {
		s := left[name]
		if s == nil {
			t.Errorf("%s is not described", name)
			continue
		}
		delete(left, name)
		want, got, required := map[string]string{}, map[string]string{}, []string{}
		for _, f := range fields {
			m, always := member(f)
			if m == "" {
				t.Errorf("%s: a field has no name on the wire", name)
			}
			if want[m] = kindOf(f.Type); always {
				required = append(required, m)
			}
		}
		for m, p := range s.Properties {
			got[m] = p.kind()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("members of %s (-program +openapi.yaml):\n%s", name, diff)
		}
		if diff := cmp.Diff(sorted(required), sorted(s.Required)); diff != "" {
			t.Errorf("required members of %s (-program +openapi.yaml):\n%s", name, diff)
		}
	}
	for name, values := range wire.values {
		if name == "ProofPurpose" {
			for _, v := range values {
				if !strings.Contains(d.Info.Description, "| `latchkey "+v+" v1` |") {
					t.Errorf("what a card signs for %q is not described", v)
				}
			}
			continue
		}
		if s := left[name]; s == nil || s.Type != "string" {
			t.Errorf("%s is not described", name)
		} else if diff := cmp.Diff(sorted(values), sorted(s.Enum)); diff != "" {
			t.Errorf("values of %s (-program +openapi.yaml):\n%s", name, diff)
		}
		delete(left, name)
	}
	for name := range left {
		t.Errorf("%s is described and is no type of the wire", name)
	}
	if len(wire.structs) < 10 || len(wire.values) < 5 {
		t.Errorf("only %d types and %d sets of values were found", len(wire.structs), len(wire.values))
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// TestDescribedCalls: every route is in openapi.yaml and none more, with the
// request and the answer that it has.
func TestDescribedCalls(t *testing.T) {
	d, _ := readDescription(t)
	calls := d.calls()
	if diff := cmp.Diff(sorted(newEdge().Routes()), slices.Sorted(maps.Keys(calls))); diff != "" {
		t.Errorf("calls (-program +openapi.yaml):\n%s", diff)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Version != strconv.Itoa(api.Version) {
		t.Errorf("OpenAPI %q, version %q", d.OpenAPI, d.Info.Version)
	}
	for _, limit := range []string{fmt.Sprintf("at most %d bytes, that of frames %d", api.MaxBody, api.MaxFaceBody), string(problem.NoSuchPage)} {
		if !strings.Contains(d.Info.Description, limit) {
			t.Errorf("it does not say %q", limit)
		}
	}
	tried := map[string]bool{}
	for _, r := range routes {
		name := r.method + " " + strings.NewReplacer("/s1", "/{id}", "/webhook", "/{provider}").Replace(r.path)
		c := calls[name]
		tried[name] = true
		if open := c.Security != nil && len(*c.Security) == 0; open == ofASession(r.path) {
			t.Errorf("%s: open to anyone: %t", name, open)
		}
		if _, ok := c.Responses["401"]; ok != ofASession(r.path) {
			t.Errorf("%s: answers 401: %t", name, ok)
		}
		e := newEdge()
		w := e.ask(r.method, r.path, r.body, nil)
		if e.body != nil {
			if s := c.RequestBody.Content["application/json"].Schema; s == nil || refName(s.Ref) != reflect.TypeOf(e.body).Name() {
				t.Errorf("%s: the body is a %T", name, e.body)
			}
		} else if c.RequestBody.Content != nil {
			t.Errorf("%s: no body is read", name)
		}
		for status, a := range c.Responses {
			if status < "300" && status != strconv.Itoa(w.Code) {
				t.Errorf("%s: answers %d, not %s", name, w.Code, status)
			}
			if a.Ref != "" && d.Components.Responses[refName(a.Ref)].Content == nil {
				t.Errorf("%s: %s is nowhere", name, a.Ref)
			}
		}
		d.fits(t, name, c.Responses[strconv.Itoa(w.Code)], w.Body.Bytes())
	}
	for name := range calls {
		if !tried[name] {
			t.Errorf("%s is not tried", name)
		}
	}
}

// fits makes sure that an answer has the members of its schema.
func (d description) fits(t *testing.T, call string, r response, body []byte) {
	t.Helper()
	s := r.Content["application/json"].Schema
	if s == nil {
		if len(body) != 0 {
			t.Errorf("%s: the answer has a body: %s", call, body)
		}
		return
	}
	s = d.Components.Schemas[refName(s.Ref)]
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil || s == nil {
		t.Errorf("%s: %v, schema %v", call, err, s)
		return
	}
	for m := range got {
		if s.Properties[m] == nil {
			t.Errorf("%s: the answer has a member %q", call, m)
		}
	}
	for _, m := range s.Required {
		if _, ok := got[m]; !ok {
			t.Errorf("%s: the answer has no member %q", call, m)
		}
	}
}

// TestDescribedCodes: each code stands under its own HTTP status, and every
// code that a call can give is described. Those with a status that are answers
// to other things are named here.
func TestDescribedCodes(t *testing.T) {
	d, _ := readDescription(t)
	elsewhere := map[problem.Code]bool{
		problem.NoSuchPage:     true, // no call: the description has it in words
		problem.HolderNotKnown: true, // commands
		problem.AssetsMissing:  true, // the application's pages, as is LK-8xxx
	}
	found := map[problem.Code]bool{}
	for name, c := range d.calls() {
		for status, r := range c.Responses {
			if status < "300" {
				continue
			}
			if r.Ref != "" {
				r = d.Components.Responses[refName(r.Ref)]
			}
			s := r.Content["application/problem+json"].Schema
			if s == nil || refName(s.Ref) != "Problem" || s.Properties["code"] == nil || len(r.Content) != 1 {
				t.Errorf("%s: %s is no problem with codes", name, status)
				continue
			}
			for _, code := range s.Properties["code"].Enum {
				found[problem.Code(code)] = true
				if e, ok := problem.Lookup(problem.Code(code)); !ok || strconv.Itoa(e.Status) != status {
					t.Errorf("%s: %s is given with status %d, not %s", name, code, e.Status, status)
				}
			}
			if _, ok := r.Headers["Retry-After"]; ok != (status == "429") {
				t.Errorf("%s: %s has Retry-After: %t", name, status, ok)
			}
		}
	}
	for _, e := range problem.Catalogue() {
		answer := e.Status != 0 && !elsewhere[e.Code] && !strings.HasPrefix(string(e.Code), "LK-8")
		if answer != found[e.Code] {
			t.Errorf("%s: answer to a call %t, described %t", e.Code, answer, found[e.Code])
		}
	}
}

// TestDescriptionHoldsTogether: every reference leads somewhere and every
// component is referred to.
func TestDescriptionHoldsTogether(t *testing.T) {
	_, tree := readDescription(t)
	used := map[string]bool{}
	var walk func(any)
	walk = func(n any) {
		switch n := n.(type) {
		case map[string]any:
			if ref, ok := n["$ref"].(string); ok {
				used[ref] = true
			}
			for k, v := range n {
				if v == nil { // a comma in a sentence without quotes
					t.Errorf("%q has no value", k)
				}
				walk(v)
			}
		case []any:
			for _, v := range n {
				walk(v)
			}
		}
	}
	walk(tree)
	used["#/components/schemas/Release"] = true // what an Envelope seals
	there := map[string]bool{}
	for kind, parts := range tree.(map[string]any)["components"].(map[string]any) {
		for name := range parts.(map[string]any) {
			if kind != "securitySchemes" {
				there["#/components/"+kind+"/"+name] = true
			}
		}
	}
	if diff := cmp.Diff(there, used); diff != "" {
		t.Errorf("(-components +references):\n%s", diff)
	}
}

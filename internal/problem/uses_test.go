package problem

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// constants are the names of the codes that catalogue.go declares.
func constants(t *testing.T) map[string]Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]Code{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if text, err := "", error(nil); ok {
			if text, err = strconv.Unquote(literal.Value); err == nil && ours(Code(text)) {
				names[spec.Names[0].Name] = Code(text)
			}
		}
		return true
	})
	return names
}

// TestEveryCodeIsInTheCatalogue: a code that is declared has its words, and no
// two names share one.
func TestEveryCodeIsInTheCatalogue(t *testing.T) {
	names := map[Code]string{}
	for name, code := range constants(t) {
		if other, twice := names[code]; twice {
			t.Errorf("%s and %s are both %s", name, other, code)
		}
		names[code] = name
		if _, ok := Lookup(code); !ok {
			t.Errorf("%s (%s) is not in the catalogue", name, code)
		}
	}
	for _, e := range Catalogue() {
		if names[e.Code] == "" {
			t.Errorf("%s is in the catalogue and has no name", e.Code)
		}
	}
	if len(names) == 0 {
		t.Fatal("no codes were found")
	}
}

// TestEveryCodeIsMade: somewhere outside of tests something goes wrong with
// each code. A comparison alone makes none.
func TestEveryCodeIsMade(t *testing.T) {
	made := map[string]bool{}
	for _, root := range []string{"../../internal", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err == nil {
				ast.Walk(finder{made: made, here: file.Name.Name == "problem"}, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, code := range constants(t) {
		if !made[name] {
			t.Errorf("nothing makes %s (%s): delete it", name, code)
		}
	}
}

// finder notes the codes that are used other than in a comparison. The
// catalogue itself, here, only declares them: there New and Wrap count.
type finder struct {
	made map[string]bool
	here bool
}

func (f finder) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op == token.EQL || n.Op == token.NEQ {
			return nil
		}
	case *ast.CaseClause:
		for _, s := range n.Body {
			ast.Walk(f, s)
		}
		return nil
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && x.Name == "problem" {
			f.made[n.Sel.Name] = true
		}
	case *ast.CallExpr:
		name, ok := n.Fun.(*ast.Ident)
		if f.here && ok && (name.Name == "Wrap" || name.Name == "New") {
			if code, ok := n.Args[0].(*ast.Ident); ok {
				f.made[code.Name] = true
			}
		}
	}
	return f
}

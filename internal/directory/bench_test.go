package directory

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"
)

// generated is a file of any number of lines that is in nobody's memory.
type generated struct {
	header string
	line   func(i int) string
	lines  int
	next   int // -1: the header
	rest   bytes.Buffer
}

func (g *generated) Seek(int64, int) (int64, error) {
	g.next = -1
	g.rest.Reset()
	return 0, nil
}

func (g *generated) Read(p []byte) (int, error) {
	for ; g.rest.Len() == 0; g.next++ {
		switch {
		case g.next == -1:
			g.rest.WriteString(g.header)
		case g.next < g.lines:
			g.rest.WriteString(g.line(g.next))
		default:
			return 0, io.EOF
		}
	}
	return g.rest.Read(p)
}

func holderFile(lines int) *generated {
	return &generated{header: "staff_number,name,email,mobile\n", lines: lines, line: func(i int) string {
		return fmt.Sprintf("S%07d,Holder %d,holder%d@example.org,+4477%08d\n", i, i, i, i)
	}}
}

func cardFile(lines int) *generated {
	return &generated{header: "family,identifier,serial,staff_number,puk\n", lines: lines, line: func(i int) string {
		return fmt.Sprintf("piv,%032x,%d,S%07d,%08d\n", i+1, i+1, i, i%100_000_000)
	}}
}

// BenchmarkImport gives the time of one line: new, and imported again.
func BenchmarkImport(b *testing.B) {
	for name, url := range urls() {
		run := func(what string, again bool, imp func(fixture) importer, file func(int) *generated) {
			b.Run(name+"/"+what, func(b *testing.B) {
				f := newFixture(b, url(b), Options{})
				load := func(i importer, g *generated) {
					if r, err := i(b.Context(), f.db, g, ImportOptions{}); err != nil || r.Lines != b.N {
						b.Fatalf("%+v, %v", r, err)
					}
				}
				load(f.ImportCardholders, holderFile(b.N))
				if again {
					load(imp(f), file(b.N))
				} else if what == "cardholders" {
					f = newFixture(b, url(b), Options{})
				}
				b.ResetTimer()
				load(imp(f), file(b.N))
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
			})
		}
		holders := func(f fixture) importer { return f.ImportCardholders }
		cards := func(f fixture) importer { return f.ImportCards }
		run("cardholders", false, holders, holderFile)
		run("cards", false, cards, cardFile)
		run("cards-again", true, cards, cardFile)
	}
}

// TestImportMemory imports a long file: what stays in use while it runs must
// be little beside the file.
func TestImportMemory(t *testing.T) {
	const lines = 4_000
	f := newFixture(t, urls()["SQLite"](t), Options{})
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	start, most := inUse(), uint64(0)
	r, err := f.ImportCardholders(t.Context(), f.db, holderFile(lines), ImportOptions{Progress: func(n int) {
		if n%1000 == 0 {
			most = max(most, inUse())
		}
	}})
	if err != nil || r.Added != lines {
		t.Fatalf("%+v, %v", r, err)
	}
	// 13 bytes a line with the slack of a hash table, and a megabyte for the rest.
	if bound := start + 64*lines + 1<<20; most > bound {
		t.Errorf("%d bytes in use, more than %d", most, bound)
	}
}

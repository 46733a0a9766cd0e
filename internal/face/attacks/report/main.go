// Command report lets many simulated sessions of every scenario through the
// checker and writes what became of them into docs/face.md, between its marks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"latchkey/internal/face"
	"latchkey/internal/face/attacks"
	"latchkey/internal/face/engine"
	"latchkey/internal/face/scan"
)

// The marks in the document.
const (
	begin = "<!-- attack runs: written by go run ./internal/face/attacks/report -->\n"
	end   = "<!-- end of attack runs -->\n"
)

func main() {
	n := flag.Int("n", 200, "sessions of each scenario")
	seed := flag.Uint64("seed", 1, "what the simulation draws from")
	file := flag.String("write", "", "document to write the table into; empty: standard output")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := report(ctx, *n, *seed, *file); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		stop()
		os.Exit(1)
	}
}

func report(ctx context.Context, n int, seed uint64, file string) error {
	e, err := engine.Open(engine.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	people, err := attacks.Cast(ctx, e)
	if err != nil {
		return err
	}
	o := scan.DefaultOptions()
	o.Processors, o.AtOnce, o.Wait = 1, runtime.NumCPU(), time.Hour
	checker := scan.New(e, o)
	table := &strings.Builder{}
	fmt.Fprintf(table, "%d sessions of each, seed %d, %d people, similarity threshold %.3f.\n", n, seed, len(people), o.Similarity)
	group := ""
	for _, s := range attacks.Scenarios() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(table, "\n### %s\n\n| scenario | expected | accepted | rejected | why rejected |\n| --- | --- | --- | --- | --- |\n", group)
		}
		t, err := attacks.Play(ctx, checker, people, s, n, runtime.NumCPU(), seed)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "| %s | %s | %d | %d | %s |\n", s.Name, s.Expect, t.Accepted, n-t.Accepted, why(t.Reasons))
		fmt.Fprintf(os.Stderr, "%-75s %d of %d accepted\n", s.Name, t.Accepted, n)
	}
	if file == "" {
		_, err = fmt.Print(table.String())
		return err
	}
	return replace(file, table.String())
}

// why lists the reasons, most frequent first.
func why(reasons map[face.Reason]int) string {
	delete(reasons, face.Verified)
	keys := slices.SortedFunc(maps.Keys(reasons), func(a, b face.Reason) int {
		if d := reasons[b] - reasons[a]; d != 0 {
			return d
		}
		return strings.Compare(string(a), string(b))
	})
	var out []string
	for _, k := range keys {
		out = append(out, fmt.Sprintf("%s %d", k, reasons[k]))
	}
	return strings.Join(out, ", ")
}

func replace(file, table string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return errors.New(file + " has no marks for the attack runs")
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+table+"\n"+end+after), 0o644)
}

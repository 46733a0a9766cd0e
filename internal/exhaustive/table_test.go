package exhaustive

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// counts are the cases of a kind of card. Each belongs to the test of that
// kind until this has ended.
type counts struct {
	name       string
	trace      trace
	singles    map[kind]int
	pairs      map[kind]int // by the second fault
	pairsThere int
	first      int // unlocked by the first attempt afterwards
	second     int // by the second
	failures   int
}

func (c *counts) single(f fault, k *kase) {
	c.singles[f.kind]++
	c.add(k)
}

func (c *counts) pair(_, second fault, k *kase) {
	c.pairs[second.kind]++
	c.add(k)
}

func (c *counts) add(k *kase) {
	switch {
	case k.bad != nil:
		c.failures++
	case k.attempts == 1:
		c.first++
	case k.attempts == 2:
		c.second++
	}
}

func sum(m map[kind]int, kinds ...kind) (n int) {
	if len(kinds) == 0 {
		for _, v := range m {
			n += v
		}
	}
	for _, k := range kinds {
		n += m[k]
	}
	return n
}

func (c *counts) String() string {
	return fmt.Sprintf("%s: %d commands, %d messages, %d commits, %d statements, of the work %d, %d, %d, %d; %d single faults, %d of %d pairs; unlocked by the first attempt afterwards %d, by the second %d, failed %d",
		c.name, c.trace.commands, c.trace.calls, c.trace.commits, len(c.trace.statements),
		c.trace.commands-c.trace.work.commands, c.trace.calls-c.trace.work.calls, c.trace.commits-c.trace.work.commits,
		len(c.trace.statements)-c.trace.work.statements, sum(c.singles), sum(c.pairs), c.pairsThere,
		c.first, c.second, c.failures)
}

// table is all of them.
type table struct {
	mu  sync.Mutex
	all []*counts
}

func (t *table) of(name string) *counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &counts{name: name, singles: map[kind]int{}, pairs: map[kind]int{}}
	t.all = append(t.all, c)
	return c
}

// String is two tables in Markdown.
func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	b.WriteString("| card | commands | messages | commits | single faults | pairs | of | unlocked by the next attempt | by the one after | failed |\n")
	b.WriteString("| --- |" + strings.Repeat(" ---: |", 9) + "\n")
	var total counts
	for _, c := range t.all {
		x, w := c.trace, c.trace.work
		fmt.Fprintf(&b, "| %s | %d (%d) | %d (%d) | %d (%d) | %d | %d | %d | %d | %d | %d |\n", c.name, x.commands, x.commands-w.commands,
			x.calls, x.calls-w.calls, x.commits, x.commits-w.commits, sum(c.singles), sum(c.pairs), c.pairsThere, c.first, c.second, c.failures)
		total.pairsThere += c.pairsThere
		total.first, total.second = total.first+c.first, total.second+c.second
		total.failures += c.failures
	}
	singles, pairs := map[kind]int{}, map[kind]int{}
	for _, c := range t.all {
		for k, n := range c.singles {
			singles[k] += n
		}
		for k, n := range c.pairs {
			pairs[k] += n
		}
	}
	fmt.Fprintf(&b, "| **all** | | | | **%d** | **%d** | **%d** | **%d** | **%d** | **%d** |\n\n", sum(singles), sum(pairs), total.pairsThere,
		total.first, total.second, total.failures)
	b.WriteString("| fault | alone | as the second of a pair |\n| --- | ---: | ---: |\n")
	for _, g := range groups() {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", g.name, sum(singles, g.kinds...), sum(pairs, g.kinds...))
	}
	return b.String()
}

// Marks of the file that the tables are written to.
const (
	beginMark = "<!-- begin: counts, written by go test ./internal/exhaustive -write -->\n"
	endMark   = "<!-- end: counts -->\n"
)

func (t *table) write(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(raw), beginMark)
	_, after, end := strings.Cut(rest, endMark)
	if !found || !end {
		return fmt.Errorf("%s has no marks for the counts", path)
	}
	return os.WriteFile(path, []byte(before+beginMark+"\n"+t.String()+"\n"+endMark+after), 0o644)
}

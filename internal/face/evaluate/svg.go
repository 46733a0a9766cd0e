package evaluate

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"
)

// SVG draws the curve: true accept rate over false match rate, the latter on a
// logarithmic scale down to one pair.
func (c *Curve) SVG(w io.Writer, title string) error {
	const left, top, width, height = 70, 50, 560, 360
	decades := max(int(math.Ceil(math.Log10(float64(len(c.impostor))))), 1)
	floor := max(math.Floor(c.tarAbove(0)*20)/20-0.05, 0)
	x := func(fmr float64) float64 {
		return left + width*(1+math.Log10(fmr)/float64(decades))
	}
	y := func(tar float64) float64 { return top + height*(1-(tar-floor)/(1-floor)) }
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="680" height="480" viewBox="0 0 680 480" font-family="sans-serif" font-size="13" role="img" aria-label="%[1]s">
<rect width="680" height="480" fill="#fff"/>
<text x="%[2]d" y="28" font-size="15">%[1]s</text>
`, html.EscapeString(title), left)
	for d := 0; d <= decades; d++ {
		at := x(math.Pow(10, float64(-d)))
		fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, top, top+height, at, top+height+20, percent(math.Pow(10, float64(-d))))
	}
	for i := range 6 {
		tar := floor + (1-floor)*float64(i)/5
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, y(tar), width, left-8, y(tar)+4, percent(tar))
	}
	fmt.Fprintf(b, `<path fill="none" stroke="#005eb8" stroke-width="2" d="M%.1f %.1f`, x(1/float64(len(c.impostor))), y(c.tarAbove(0)))
	last := ""
	for i := range c.impostor { // i+1 of them match at the i-th's similarity
		p := c.Threshold(c.impostor[i])
		if p.Impostors != i+1 { // as similar as the next
			continue
		}
		step := fmt.Sprintf("H%.1fV%.1f", x(p.FMR), y(p.TAR))
		if step != last {
			b.WriteString(step)
		}
		last = step
	}
	fmt.Fprintf(b, `"/>
<text x="%d" y="%d" text-anchor="middle">false match rate (of %d pairs of two people)</text>
<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">true accept rate (of %d pairs of one person)</text>
</svg>
`, left+width/2, top+height+45, len(c.impostor), top+height/2, len(c.genuine))
	return b.Flush()
}

// tarAbove is the true accept rate above the similarity of an impostor pair.
func (c *Curve) tarAbove(i int) float64 {
	return c.Threshold(math.Nextafter(c.impostor[i], 2)).TAR
}

func percent(v float64) string { return fmt.Sprintf("%.4g %%", 100*v) }

package deliver

import (
	"context"
	"time"

	"latchkey/internal/store"
)

// guardWindow is the window of all counts of the guard.
const guardWindow = time.Hour

// guardAll names the count over all countries.
const guardAll = "all"

// Guard bounds what text messages can cost. Its counts are rows of the
// database, so all nodes share them. It is asked by the worker, for messages
// to holders alone: nobody who types a number learns from it (R4).
type Guard struct {
	PerHour   int            // text messages an hour in all; 0 is none
	Countries map[string]int // text messages an hour by country, ISO 3166-1 alpha-2
	Other     int            // for each country that is not listed
	Home      string         // a country that, where not listed, has PerHour
}

// most is how many text messages an hour go to a country.
func (g Guard) most(country string) int {
	if n, ok := g.Countries[country]; ok {
		return n
	}
	if country == g.Home && country != "" {
		return g.PerHour
	}
	return g.Other
}

func guardWindows(country string) []store.Window {
	if country == "" {
		country = "unknown"
	}
	return []store.Window{{Bucket: "texts " + country, Length: guardWindow}, {Bucket: "texts", Length: guardWindow}}
}

// take counts a text message, and says which limit refuses it: a country's or
// guardAll, "" for none. What is refused does not count.
func (g Guard) take(ctx context.Context, tx *store.Tx, country string) (full string, err error) {
	counted, err := tx.BumpLimits(ctx, 1, guardWindows(country)...)
	if err != nil {
		return "", err
	}
	switch {
	case counted[0].Count > g.most(country):
		full = country
		if full == "" {
			full = "unknown"
		}
	case counted[1].Count > g.PerHour:
		full = guardAll
	default:
		return "", nil
	}
	return full, g.giveBack(ctx, tx, country)
}

// giveBack takes a count back. Where its window has ended meanwhile, the next
// one begins with one more than its own.
func (g Guard) giveBack(ctx context.Context, tx *store.Tx, country string) error {
	_, err := tx.BumpLimits(ctx, -1, guardWindows(country)...)
	return err
}

func guardReason(full string) string {
	if full == guardAll {
		return "the hour's limit of text messages is reached"
	}
	return "the hour's limit of text messages to " + full + " is reached"
}

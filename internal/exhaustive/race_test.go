//go:build race

package exhaustive

// Most of a case is SQLite and signatures, and takes four times as long with
// the race detector, so a part of the cases has to do.
const (
	singlesShare = 7
	pairsShare   = 97
)

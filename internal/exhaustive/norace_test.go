//go:build !race

package exhaustive

// Of how many single faults, and of how many pairs, one is run.
const (
	singlesShare = 1
	pairsShare   = 199
)

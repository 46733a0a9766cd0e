// Package exhaustive has one test, the proof of R7 (unlocking.md) by running it:
// for each kind of card, each message between card, application, service and
// database, each fault of it, and each pair of faults in two attempts in a row,
// the same journey afterwards unlocks the card, no key is missing from the
// escrow, and no last try was spent. docs/proofs.md says what is run and what
// came of it.
//
// All is real but the wires: the application's engine and client, the service's
// HTTP edge, SQLite, the key journal's file, cards in software. The wires are
// where the faults happen: readers (readers_test.go), a network that carries
// bytes of HTTP (network_test.go), a driver of SQLite (driver_test.go). Time is
// that of testing/synctest, so that waiting costs nothing.
package exhaustive

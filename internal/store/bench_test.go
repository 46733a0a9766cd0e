package store

import (
	"testing"

	"latchkey/internal/store/pgtest"
)

// BenchmarkCommit is the database's own rate of small transactions, for
// comparison with whole unlocks: one lock, one change, one audit entry.
func BenchmarkCommit(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"SQLite": sqlitePath, "PostgreSQL": pgtest.URL} {
		b.Run(name, func(b *testing.B) {
			db := backend{}.open(b, url(b), Options{})
			b.SetParallelism(4)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				s := aSession("card")
				err := db.Update(b.Context(), func(tx *Tx) error { return tx.InsertSession(b.Context(), s) })
				for err == nil && pb.Next() {
					err = db.Update(b.Context(), func(tx *Tx) error {
						locked, err := tx.LockSession(b.Context(), s.ID)
						if err != nil {
							return err
						}
						locked.Sends++
						if err := tx.SaveSession(b.Context(), locked); err != nil {
							return err
						}
						_, err = tx.AppendAudit(b.Context(), AuditEvent{Action: "bench"})
						return err
					})
				}
				if err != nil {
					b.Error(err)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

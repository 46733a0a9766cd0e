package bench

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/store/pgtest"
	"latchkey/internal/store/storetest"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// BenchmarkUnlocks is how many whole unlocks the service gets done through its
// HTTP API: start, proof of the card, code sent, code checked, keys released,
// outcome reported. Messages go through the durable queue, whose workers run
// and write them to files. The cards' signatures are made in this process too.
//
// commits/s is what the same database does for as many clients that each
// commit one row and nothing else. commits/unlock is the one by the other.
func BenchmarkUnlocks(b *testing.B) {
	for _, database := range []struct {
		name string
		url  func(testing.TB) string
	}{{"SQLite", storetest.SQLite}, {"PostgreSQL", storetest.PostgreSQL}} {
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/clients=%d", database.name, clients), func(b *testing.B) {
				unlocks(b, database.url(b), clients)
			})
		}
	}
}

func unlocks(b *testing.B, database string, clients int) {
	// The limits of an installation behind one network address.
	x := unlocktest.New(b, unlocktest.Options{Database: database, Queue: true, Config: func(c *unlock.Config) {
		c.Limits = unlock.Limits{StartsPerNetwork: 1e9, StartsTotal: 1e9, SendsPerNetwork: 1e9, SendsTotal: 1e9,
			SendsPerCard: 1e9, SendsPerAddress: 1e9}
	}})
	all := make([]*client, clients)
	for i := range all {
		all[i] = newClient(b, x, i)
	}
	took, rates := share(b, clients, func(n int) error { return all[n].unlock(b.Context()) },
		func() float64 { return commits(b, x, clients) })
	for _, c := range all {
		if keys := x.Candidates(b, c.card); c.done > 0 && (len(keys) != 1 || keys[0] != c.puk) {
			b.Errorf("the service holds %d keys for a card that took its last one", len(keys))
		}
	}
	slices.Sort(rates)
	rate, commit := float64(b.N)/took.Seconds(), rates[len(rates)/2]
	b.ReportMetric(rate, "unlocks/s")
	b.ReportMetric(commit, "commits/s")
	b.ReportMetric(commit/rate, "commits/unlock")
}

// round is how many pieces of work are done between two looks at the rate of
// commits, so that both are of the same machine at nearly the same time.
const round = 40

// share has clients do b.N pieces of work between them. It gives the time that
// they took and what aside said before each round and at the end.
func share(b *testing.B, clients int, work func(n int) error, aside func() float64) (took time.Duration, said []float64) {
	tokens := make(chan struct{})
	var group, pending sync.WaitGroup
	for n := range clients {
		group.Go(func() {
			for range tokens {
				if err := work(n); err != nil {
					b.Error(err)
				}
				pending.Done()
			}
		})
	}
	began := time.Now()
	for n := 0; b.Loop() && !b.Failed(); n++ {
		if n%round == 0 {
			pending.Wait()
			b.StopTimer()
			took += time.Since(began)
			said = append(said, aside())
			began = time.Now()
			b.StartTimer()
		}
		pending.Add(1)
		tokens <- struct{}{}
	}
	close(tokens)
	group.Wait()
	return took + time.Since(began), append(said, aside())
}

// commitTime is how long the database's own rate is measured for at a time.
const commitTime = 100 * time.Millisecond

// commits is how many transactions of one row the database commits in a second
// for so many clients, each with a row of its own.
func commits(b *testing.B, x *unlocktest.Installation, clients int) float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), commitTime)
	defer cancel()
	var group sync.WaitGroup
	done := make([]int, clients)
	began := time.Now()
	for n := range clients {
		group.Go(func() {
			key := fmt.Sprintf("bench %d", n)
			for ctx.Err() == nil {
				_, err := x.DB.SQL().ExecContext(b.Context(), `INSERT INTO meta (key, value) VALUES ($1, $2)
					ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, []byte{byte(done[n])})
				if err != nil {
					b.Error(err)
					return
				}
				done[n]++
			}
		})
	}
	group.Wait()
	total := 0
	for _, n := range done {
		total += n
	}
	return float64(total) / time.Since(began).Seconds()
}

// client is a workstation with a card whose keys are at hand, so that no
// reader is in the way.
type client struct {
	x       *unlocktest.Installation
	b       *testing.B
	api     *api.Client
	card    *emulator.Card
	guid    string
	email   string
	signer  crypto.Signer
	service api.Service
	puk     string // what the card would hold
	done    int
}

func newClient(b *testing.B, x *unlocktest.Installation, n int) *client {
	b.Helper()
	c := &client{x: x, b: b, puk: "73519264", email: fmt.Sprintf("holder%d@example.org", n)}
	var err error
	if c.card, err = emulator.New(emulator.Options{PUK: c.puk}); err != nil {
		b.Fatal(err)
	}
	x.EnrolFor(b, c.card, c.email)
	state := c.card.State()
	c.guid = state.GUID
	for _, k := range state.Keys {
		if k.Slot != "9E" {
			continue
		}
		key, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
		if err != nil {
			b.Fatal(err)
		}
		c.signer = key.(crypto.Signer)
	}
	if c.api, err = api.NewClient(x.Client.Address(), nil); err != nil {
		b.Fatal(err)
	}
	if c.service, err = c.api.Service(b.Context()); err != nil {
		b.Fatal(err)
	}
	return c
}

func (c *client) sign(digest [32]byte) []byte {
	signature, err := c.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		c.b.Error(err)
	}
	return signature
}

// unlock goes through one session, from its start to the proven outcome.
func (c *client) unlock(ctx context.Context) error {
	private, started, err := c.start(ctx)
	if err != nil {
		return err
	}
	who, public := api.Credentials{ID: started.ID, Token: started.Token}, private.PublicKey().Bytes()
	if _, err := c.api.SendCode(ctx, who, api.CodeRequest{Method: api.MethodEmail, Address: c.email}); err != nil {
		return err
	}
	if _, err := c.api.CheckCode(ctx, who, api.CodeCheck{Code: c.x.CodeOf(c.b, who.ID)}); err != nil {
		return err
	}
	digest := api.ProofDigest(api.PurposeRelease, c.service.Name, who.ID, public, started.Nonce, 1)
	envelope, err := c.api.Release(ctx, who, api.ReleaseRequest{Step: 1, CardID: c.guid, Slot: "9E", Signature: c.sign(digest)})
	if err != nil {
		return err
	}
	keys, err := envelope.Open(private, c.service.SigningKey, c.service.Name, who.ID, c.guid, 1)
	if err != nil {
		return err
	}
	if keys.Key != c.puk || keys.Next == "" {
		return errors.New("the released key is not the card's, or nothing follows it")
	}
	report := api.Report{Step: 1, Epoch: envelope.Epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext, Slot: "9E"}
	report.Signature = c.sign(api.OutcomeDigest(c.service.Name, who.ID, c.guid, report))
	reported, err := c.api.Report(ctx, who, report)
	if err == nil && (reported.State != api.StateUnlocked || !reported.Proven) {
		err = fmt.Errorf("not unlocked: %+v", reported)
	}
	if err == nil {
		c.puk = keys.Next
		c.done++
	}
	return err
}

// start begins a session and has the card prove itself.
func (c *client) start(ctx context.Context) (hpke.PrivateKey, api.Session, error) {
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		return nil, api.Session{}, err
	}
	public := private.PublicKey().Bytes()
	started, err := c.api.Start(ctx, api.StartRequest{Application: "1.0.0", APIVersion: api.Version, Purpose: api.PurposeLocked,
		Workstation: "ward-7", Card: api.Card{Family: "piv", ID: c.guid}, PublicKey: public})
	if err != nil {
		return nil, started, err
	}
	digest := api.ProofDigest(api.PurposeCardProof, c.service.Name, started.ID, public, started.Nonce, 0)
	_, err = c.api.Prove(ctx, api.Credentials{ID: started.ID, Token: started.Token}, api.ProofRequest{Slot: "9E", Signature: c.sign(digest)})
	return private, started, err
}

package emulator_test

import (
	"bytes"
	"crypto/des"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"latchkey/internal/card/emulator"
)

// rig is a card under test that keeps its state in a file.
type rig struct {
	t      *testing.T
	card   *emulator.Card
	path   string
	choose string // SELECT
}

// fresh makes a rig's card anew from the text of a state file.
func (g *rig) fresh(r *rapid.T, text []byte) {
	if err := os.WriteFile(g.path, text, 0o600); err != nil {
		r.Fatal(err)
	}
	g.load(r)
}

func (g *rig) load(r *rapid.T) {
	c, err := emulator.Load(g.path)
	if err != nil {
		r.Fatal(err)
	}
	g.card = c
	send(g.t, c, g.choose)
}

func (g *rig) expect(r *rapid.T, command, want string) {
	if got := send(g.t, g.card, command); got != want {
		r.Fatalf("%s: got %s, want %s", command, got, want)
	}
}

// newRig makes a card and gives the text of its state file too.
func newRig(t *testing.T, o emulator.Options, choose string) (*rig, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "card.json")
	if _, err := emulator.Create(path, o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, path: path, choose: choose}, text
}

// command is one with data: its header, length and data in hex.
func command(header string, data ...string) string {
	all := ""
	for _, d := range data {
		all += hex.EncodeToString([]byte(d))
	}
	return fmt.Sprintf("%s%02X%s", header, len(all)/2, all)
}

const (
	selectGIDS    = "00A4040009A00000039742544659"
	selectOpenPGP = "00A4040006D27600012401"
)

// gidsModel is what a GIDS card must remember.
type gidsModel struct {
	*rig
	pin             string
	tries           int
	key             string
	verified, admin bool
}

func (m *gidsModel) present(value string) string {
	if m.tries == 0 {
		return "6983"
	}
	if m.verified = value == m.pin; !m.verified {
		m.tries--
		return fmt.Sprintf("63C%d", m.tries)
	}
	m.tries = total
	return "9000"
}

func (m *gidsModel) actions() map[string]func(*rapid.T) {
	pin := func(r *rapid.T) string { return rapid.SampledFrom([]string{"123456", "2468", "975310"}).Draw(r, "PIN") }
	key := func(r *rapid.T) string { return rapid.SampledFrom([]string{factoryKey, anotherKey}).Draw(r, "key") }
	return map[string]func(*rapid.T){
		"verify": func(r *rapid.T) {
			v := pin(r)
			m.expect(r, command("00200080", v), m.present(v))
		},
		"a length that cannot be right spends nothing": func(r *rapid.T) {
			want := fmt.Sprintf("63C%d", m.tries)
			if m.tries == 0 {
				want = "6983"
			}
			m.expect(r, "0020008003313233", want)
		},
		"change": func(r *rapid.T) {
			old, next := pin(r), pin(r)
			// The card compares as many bytes as its PIN has.
			given := (old + next)[:min(len(m.pin), len(old+next))]
			want := m.present(given)
			if want == "9000" {
				m.pin = (old + next)[len(given):]
			}
			m.expect(r, command("00240080", old, next), want)
		},
		"authenticate": func(r *rapid.T) {
			with := key(r)
			m.expect(r, "0022C1A403830180", "9000")
			challenge := send(m.t, m.card, "00870000047C02810000")
			block, err := des.NewTripleDESCipher(fromHex(m.t, with))
			if err != nil {
				r.Fatal(err)
			}
			answer := make([]byte, 8)
			block.Encrypt(answer, fromHex(m.t, challenge[8:24]))
			want := "9000"
			if m.admin = with == m.key; !m.admin {
				want = "6982"
			}
			m.expect(r, "008700000C7C0A8208"+hex.EncodeToString(answer), want)
		},
		"unblock": func(r *rapid.T) {
			v, want := pin(r), "6982"
			if m.admin {
				want, m.pin, m.tries, m.admin, m.verified = "9000", v, total, false, false
			}
			m.expect(r, command("002C0280", v), want)
		},
		"change the key": func(r *rapid.T) {
			next, want := key(r), "6982"
			if m.admin {
				want, m.key = "9000", next
			}
			m.expect(r, "00DB3FFF267024840180A51F8718"+next+"8803B073DC", want)
		},
		"forget": func(r *rapid.T) {
			m.expect(r, "00200082", "9000")
			m.verified, m.admin = false, false
		},
		"load from the file": func(r *rapid.T) {
			m.load(r)
			m.verified, m.admin = false, false
		},
		"": func(r *rapid.T) {
			m.expect(r, "00CB3FFF045C027F7100", fmt.Sprintf("7F71069701%02X9301039000", m.tries))
			if s := m.card.State().GIDS; s.PIN != m.pin || s.PINTries != m.tries || s.AdminKey != m.key {
				r.Fatalf("PIN %s with %d tries, key %s; want %s, %d, %s", s.PIN, s.PINTries, s.AdminKey, m.pin, m.tries, m.key)
			}
		},
	}
}

func TestGIDSCardFollowsTheModel(t *testing.T) {
	t.Parallel()
	g, text := newRig(t, emulator.Options{Family: emulator.FamilyGIDS}, selectGIDS)
	rapid.Check(t, func(r *rapid.T) {
		g.fresh(r, text)
		m := &gidsModel{rig: g, pin: "123456", tries: total, key: factoryKey}
		r.Repeat(m.actions())
	})
}

// pgpModel is what an OpenPGP card must remember.
type pgpModel struct {
	*rig
	pin, code, admin                string
	pinTries, codeTries, adminTries int
	isUser, isAdmin                 bool
}

// presentPGP is the rule of one counter.
func presentPGP(value, want string, tries *int) string {
	switch {
	case *tries == 0:
		return "6983"
	case want == "" || value != want:
		*tries--
		return "6982"
	}
	*tries = total
	return "9000"
}

// cut is as much of a text as a value is long.
func cut(text, value string) string { return text[:min(len(text), len(value))] }

func (m *pgpModel) actions() map[string]func(*rapid.T) {
	value := func(r *rapid.T) string {
		return rapid.SampledFrom([]string{"12345678", "87654321", "13571357", "2468246824"}).Draw(r, "value")
	}
	return map[string]func(*rapid.T){
		"verify": func(r *rapid.T) {
			v := value(r)
			want := presentPGP(v, m.pin, &m.pinTries)
			m.expect(r, command("00200082", v), want)
			m.isUser = want == "9000"
		},
		"verify the admin PIN": func(r *rapid.T) {
			v := value(r)
			want := presentPGP(v, m.admin, &m.adminTries)
			m.expect(r, command("00200083", v), want)
			m.isAdmin = want == "9000"
		},
		"change the PIN": func(r *rapid.T) {
			both := value(r) + value(r)
			old := cut(both, m.pin)
			want := presentPGP(old, m.pin, &m.pinTries)
			if want == "9000" {
				m.pin = both[len(old):]
			}
			m.expect(r, command("00240081", both), want)
		},
		"change the admin PIN": func(r *rapid.T) {
			both := value(r) + value(r)
			old := cut(both, m.admin)
			want := presentPGP(old, m.admin, &m.adminTries)
			if want == "9000" {
				m.admin = both[len(old):]
			}
			m.expect(r, command("00240083", both), want)
		},
		"unblock as admin": func(r *rapid.T) {
			v, want := value(r), "6982"
			if m.isAdmin {
				want, m.pin, m.pinTries, m.isUser = "9000", v, total, false
			}
			m.expect(r, command("002C0281", v), want)
		},
		"unblock with the code": func(r *rapid.T) {
			both := value(r) + value(r)
			given := cut(both, m.code)
			want := presentPGP(given, m.code, &m.codeTries)
			if want == "9000" {
				if rest := both[len(given):]; len(rest) >= 6 {
					m.pin, m.pinTries, m.isUser = rest, total, false
				} else {
					want = "6700"
				}
			}
			m.expect(r, command("002C0081", both), want)
		},
		"set the code": func(r *rapid.T) {
			v, want := rapid.SampledFrom([]string{"", "24682468", "1357135"}).Draw(r, "code"), "6982"
			switch {
			case !m.isAdmin:
			case v == "":
				want, m.code, m.codeTries = "9000", "", 0
			case len(v) < 8:
				want = "6700"
			default:
				want, m.code, m.codeTries = "9000", v, total
			}
			text := command("00DA00D3", v)
			if v == "" {
				text = "00DA00D3"
			}
			m.expect(r, text, want)
		},
		"load from the file": func(r *rapid.T) {
			m.load(r)
			m.isUser, m.isAdmin = false, false
		},
		"": func(r *rapid.T) {
			m.expect(r, "00CA00C400", fmt.Sprintf("007F7F7F%02X%02X%02X9000", m.pinTries, m.codeTries, m.adminTries))
			s := m.card.State().OpenPGP
			for name, is := range map[string][2][]byte{"PIN": {s.PIN, []byte(m.pin)}, "code": {s.ResettingCode, []byte(m.code)}, "admin PIN": {s.AdminPIN, []byte(m.admin)}} {
				if !bytes.Equal(is[0], is[1]) {
					r.Fatalf("%s %q, want %q", name, is[0], is[1])
				}
			}
			want := fmt.Sprintf("63C%d", m.pinTries)
			switch {
			case m.isUser:
				want = "9000"
			case m.pinTries == 0:
				want = "6983"
			}
			m.expect(r, "00200082", want)
		},
	}
}

func TestOpenPGPCardFollowsTheModel(t *testing.T) {
	t.Parallel()
	g, text := newRig(t, emulator.Options{Family: emulator.FamilyOpenPGP, PIN: "12345678", AdminPIN: "87654321", ResettingCode: "13571357"}, selectOpenPGP)
	rapid.Check(t, func(r *rapid.T) {
		g.fresh(r, text)
		m := &pgpModel{rig: g, pin: "12345678", admin: "87654321", code: "13571357", pinTries: total, codeTries: total, adminTries: total}
		r.Repeat(m.actions())
	})
}

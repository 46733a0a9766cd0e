package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey/internal/audit"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// looker takes any picture, unless it names a reason.
type looker struct {
	mu    sync.Mutex
	model string
	looks int
	err   error
}

func (l *looker) Model() string { return l.model }

func (l *looker) Photo(_ context.Context, picture []byte) (face.Template, face.Reason, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	if l.err != nil {
		return nil, "", l.err
	}
	if _, reason, bad := strings.Cut(string(picture), "reason:"); bad {
		return nil, face.Reason(reason), nil
	}
	if l.model == "" {
		return nil, face.Verified, nil
	}
	return face.Template{float32(len(picture)), -0.5, float32(len(l.model))}, face.Verified, nil
}

const jpeg = "\xff\xd8\xff\xe0"

// photoFolder makes a folder of files.
func photoFolder(t testing.TB, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// enrol enrols a folder and gives the refused files as "file code".
func (f fixture) enrol(t testing.TB, l PhotoChecker, folder string, o EnrolOptions) (EnrolResult, []string, error) {
	t.Helper()
	var refused []string
	o.Refused = func(r RefusedPhoto) { refused = append(refused, r.File+" "+string(r.Problem.Code)) }
	result, err := f.EnrolPhotos(t.Context(), f.db, l, folder, o)
	slices.Sort(refused)
	return result, refused, err
}

func (f fixture) photo(t testing.TB, staffNumber string) (p Photo, err error) {
	t.Helper()
	viewErr := f.db.View(t.Context(), func(tx *store.Tx) error {
		h, err2 := tx.HolderByStaffNumber(t.Context(), staffNumber)
		if err2 != nil {
			return err2
		}
		p, err = f.Photo(t.Context(), tx, h.ID)
		return nil
	})
	if viewErr != nil {
		t.Fatal(viewErr)
	}
	return p, err
}

// trail counts the entries of an action.
func (f fixture) trail(t testing.TB, action string) int {
	t.Helper()
	n := 0
	if err := f.db.View(t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(t.Context(), "", 0, func(e store.AuditEvent) error {
			if e.Action == action {
				n++
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

const three = "staff_number,name\n1001,Ann\n1002,Bob\n1003,Cy\n"

func TestEnrolPhotos(t *testing.T) {
	both(t, Options{}, func(t *testing.T, f fixture) {
		f.mustImport(t, f.ImportCardholders, three)
		l := &looker{model: "m1"}
		folder := photoFolder(t, map[string]string{"1001.jpg": jpeg + "ann", "1002.PNG": "\x89PNG\r\n\x1a\nbob", "1003.jpeg": jpeg + "reason:blurred",
			"2002.jpg": jpeg + "nobody", "1001.png": jpeg + "ann too", "notes.txt": "x", ".1001.jpg": "x", "1004.jpg": "GIF89a"})
		var last, all int
		result, refused, err := f.enrol(t, l, folder, EnrolOptions{Progress: func(done, of int) { last, all = done, of }})
		if problem.CodeOf(err) != problem.PhotosRefused {
			t.Error(err)
		}
		if d := cmp.Diff(EnrolResult{Files: 6, Added: 2, Refused: 4}, result); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"1001.png LK-7201", "1003.jpeg LK-7201", "1004.jpg LK-7201", "2002.jpg LK-4009"}, refused); d != "" {
			t.Error(d)
		}
		if last != 6 || all != 6 {
			t.Errorf("progress ends at %d of %d", last, all)
		}
		p, err := f.photo(t, "1001")
		if err != nil || string(p.Picture) != jpeg+"ann" || p.Model != "m1" || !slices.Equal(p.Template, face.Template{7, -0.5, 2}) {
			t.Errorf("%+v, %v", p, err)
		}

		// Again: what is in is known by its hash and not looked at.
		looks := l.looks
		result, _, _ = f.enrol(t, l, folder, EnrolOptions{})
		if result.Unchanged != 2 || result.Added+result.Replaced != 0 || l.looks != looks+1 { // the blurred one
			t.Errorf("%+v after %d looks", result, l.looks-looks)
		}

		newer := photoFolder(t, map[string]string{"1001.jpg": jpeg + "ann, older"})
		result, refused, _ = f.enrol(t, l, newer, EnrolOptions{})
		if d := cmp.Diff([]string{"1001.jpg LK-7204"}, refused); d != "" || result.Replaced != 0 {
			t.Errorf("%+v %s", result, d)
		}
		result, _, err = f.enrol(t, l, newer, EnrolOptions{Replace: true})
		if err != nil || result.Replaced != 1 {
			t.Errorf("%+v, %v", result, err)
		}
		p, err = f.photo(t, "1001")
		if err != nil || string(p.Picture) != jpeg+"ann, older" {
			t.Errorf("%q, %v", p.Picture, err)
		}
		if a, r := f.trail(t, audit.PhotoAdded), f.trail(t, audit.PhotoReplaced); a != 2 || r != 1 {
			t.Errorf("in the trail: %d added, %d replaced", a, r)
		}
	})
}

// TestEnrolGoesOn: a run that ends half way is finished by the next, and nothing
// is computed twice.
func TestEnrolGoesOn(t *testing.T) {
	both(t, Options{}, func(t *testing.T, f fixture) {
		var csv strings.Builder
		csv.WriteString("staff_number,name\n")
		files := map[string]string{}
		for n := range 40 {
			fmt.Fprintf(&csv, "%d,Ann\n", 1000+n)
			files[fmt.Sprintf("%d.jpg", 1000+n)] = fmt.Sprint(jpeg, n)
		}
		f.mustImport(t, f.ImportCardholders, csv.String())
		folder := photoFolder(t, files)
		l := &looker{model: "m1"}
		ctx, stop := context.WithCancel(t.Context())
		first, err := f.EnrolPhotos(ctx, f.db, l, folder, EnrolOptions{Workers: 3, Progress: func(done, _ int) {
			if done == 15 {
				stop()
			}
		}})
		if !errors.Is(err, context.Canceled) || first.Added < 15 || first.Added > 20 {
			t.Fatalf("%+v, %v", first, err)
		}
		second, err := f.EnrolPhotos(t.Context(), f.db, l, folder, EnrolOptions{Workers: 3})
		if err != nil || second.Added+second.Unchanged != 40 || second.Unchanged < first.Added {
			t.Errorf("%+v after %+v, %v", second, first, err)
		}
		if l.looks > 40+3 { // three may have been looked at and not kept
			t.Errorf("%d looks", l.looks)
		}
	})
}

// TestEnrolWithoutChecker: a checker that goes away ends the run and refuses no
// photo.
func TestEnrolWithoutChecker(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{})
	f.mustImport(t, f.ImportCardholders, three)
	folder := photoFolder(t, map[string]string{"1001.jpg": jpeg, "1002.jpg": jpeg, "1003.jpg": jpeg})
	result, refused, err := f.enrol(t, &looker{err: fmt.Errorf("gone: %w", face.ErrUnavailable)}, folder, EnrolOptions{})
	if problem.CodeOf(err) != problem.FaceUnavailable || len(refused) > 0 || result.Added > 0 {
		t.Errorf("%+v, %v, %v", result, refused, err)
	}
	_, refused, err = f.enrol(t, &looker{err: errors.New("damaged")}, folder, EnrolOptions{})
	if problem.CodeOf(err) != problem.PhotosRefused || len(refused) != 3 {
		t.Errorf("%v, %v", refused, err)
	}
	if _, _, err = f.enrol(t, &looker{}, filepath.Join(folder, "none"), EnrolOptions{}); problem.CodeOf(err) != problem.ImportFile {
		t.Error(err)
	}
	large := photoFolder(t, map[string]string{"1001.jpg": jpeg + strings.Repeat("x", MaxPhoto)})
	if _, refused, _ = f.enrol(t, &looker{}, large, EnrolOptions{}); len(refused) != 1 {
		t.Errorf("a photo of more than %d bytes is taken", MaxPhoto)
	}
}

func TestRecompute(t *testing.T) {
	both(t, Options{}, func(t *testing.T, f fixture) {
		f.mustImport(t, f.ImportCardholders, three)
		folder := photoFolder(t, map[string]string{"1001.jpg": jpeg + "ann", "1002.jpg": jpeg + "bob", "1003.jpg": jpeg + "cy"})
		if _, _, err := f.enrol(t, &looker{model: "m1"}, folder, EnrolOptions{}); err != nil {
			t.Fatal(err)
		}
		recompute := func(l *looker) (RecomputeResult, []string, error) {
			var unusable []string
			r, err := f.Recompute(t.Context(), f.db, l, func(n, why string) { unusable = append(unusable, n+" "+why) }, func(int) {})
			return r, unusable, err
		}
		status := func(model string, other int) {
			t.Helper()
			s, err := f.PhotoStatus(t.Context(), f.db)
			if err != nil || s.Holders != 3 || s.Photos != 3 || s.Other(model) != other {
				t.Errorf("%+v, %v", s, err)
			}
		}
		status("m1", 0)
		status("m2", 3)
		l := &looker{model: "m2"}
		if r, _, err := recompute(l); err != nil || r.Done != 3 {
			t.Errorf("%+v, %v", r, err)
		}
		status("m2", 0)
		if r, _, err := recompute(l); err != nil || r.Done != 0 || l.looks != 3 {
			t.Errorf("again: %+v, %v, %d looks", r, err, l.looks)
		}
		p, err := f.photo(t, "1002")
		if err != nil || p.Model != "m2" || string(p.Picture) != jpeg+"bob" || len(p.Template) != 3 {
			t.Errorf("%+v, %v", p, err)
		}
		// To a provider that needs none, and back.
		if r, _, err := recompute(&looker{}); err != nil || r.Done != 3 {
			t.Errorf("%+v, %v", r, err)
		}
		if p, err := f.photo(t, "1002"); err != nil || p.Model != "" || p.Template != nil {
			t.Errorf("%+v, %v", p, err)
		}
		if _, _, err := recompute(&looker{model: "m3", err: face.ErrUnavailable}); problem.CodeOf(err) != problem.FaceUnavailable {
			t.Error(err)
		}
		if _, err := f.db.SQL().Exec(`UPDATE photos SET mac = NULL WHERE holder_id = (SELECT id FROM holders WHERE staff_number = '1001')`); err != nil {
			t.Fatal(err)
		}
		r, unusable, err := recompute(&looker{model: "m3"})
		if err != nil || r.Done != 2 || len(unusable) != 1 || !strings.HasPrefix(unusable[0], "1001 ") {
			t.Errorf("%+v, %v, %v", r, unusable, err)
		}
	})
}

// TestTemplateOfAnOldPhoto: a template that took its time is not kept for the
// photo that has come meanwhile.
func TestTemplateOfAnOldPhoto(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{})
	f.mustImport(t, f.ImportCardholders, three)
	l := &looker{model: "m1"}
	put := func(who string) {
		if _, _, err := f.enrol(t, l, photoFolder(t, map[string]string{"1001.jpg": jpeg + who}), EnrolOptions{Replace: true}); err != nil {
			t.Fatal(err)
		}
	}
	put("ann")
	old, err := f.photo(t, "1001")
	if err != nil {
		t.Fatal(err)
	}
	put("ann, newer")
	if err := f.db.Update(t.Context(), func(tx *store.Tx) error {
		done, err := f.SetTemplate(t.Context(), tx, old, face.Template{1}, "m2", audit.ActorOperator)
		if done {
			t.Error("it was kept")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if p, err := f.photo(t, "1001"); err != nil || p.Model != "m1" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestRemovePhoto(t *testing.T) {
	both(t, Options{}, func(t *testing.T, f fixture) {
		f.mustImport(t, f.ImportCardholders, three)
		if _, _, err := f.enrol(t, &looker{model: "m1"}, photoFolder(t, map[string]string{"1001.jpg": jpeg}), EnrolOptions{}); err != nil {
			t.Fatal(err)
		}
		remove := func(n string) error {
			return f.db.Update(t.Context(), func(tx *store.Tx) error { return f.RemovePhoto(t.Context(), tx, n) })
		}
		if err := remove("1001"); err != nil {
			t.Error(err)
		}
		if err := remove("1001"); problem.CodeOf(err) != problem.PhotoMissing {
			t.Error(err)
		}
		if err := remove("2002"); problem.CodeOf(err) != problem.HolderNotKnown {
			t.Error(err)
		}
		if _, err := f.photo(t, "1001"); !errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrTampered) {
			t.Error(err)
		}
		if n := f.trail(t, audit.PhotoRemoved); n != 1 {
			t.Errorf("%d removals in the trail", n)
		}
	})
}

// TestPhotoTampered: whatever is changed in a photo's row, it counts as absent.
func TestPhotoTampered(t *testing.T) {
	for _, change := range []string{`picture = x'00'`, `template = x'00'`, `model = 'm2'`, `digest = x'00'`, `added_by = 'eve'`,
		`added_at = 1`, `mac = NULL`, `template = NULL`} {
		f := newFixture(t, urls()["SQLite"](t), Options{})
		f.mustImport(t, f.ImportCardholders, three)
		if _, _, err := f.enrol(t, &looker{model: "m1"}, photoFolder(t, map[string]string{"1001.jpg": jpeg}), EnrolOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.db.SQL().Exec(`UPDATE photos SET ` + change); err != nil {
			t.Fatal(err)
		}
		if p, err := f.photo(t, "1001"); !errors.Is(err, ErrTampered) || !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %+v, %v", change, p, err)
		}
	}
}

// TestPhotosAreSealed: neither picture nor template is in the database in clear.
func TestPhotosAreSealed(t *testing.T) {
	path := urls()["SQLite"](t)
	f := newFixture(t, path, Options{})
	f.mustImport(t, f.ImportCardholders, three)
	if _, _, err := f.enrol(t, &looker{model: "m1"}, photoFolder(t, map[string]string{"1001.jpg": jpeg + "ann as we know her"}), EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.db.SQL().Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte("photo.added")) {
		t.Error("that is not the database")
	}
	for _, clear := range [][]byte{[]byte("as we know her"), []byte(jpeg), encodeTemplate(face.Template{22, -0.5, 2})} {
		if bytes.Contains(raw, clear) {
			t.Errorf("it has %q", clear)
		}
	}
}

func TestNumberFits(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{})
	f.mustImport(t, f.ImportCardholders, "staff_number,name,email,mobile\n1001,Ann,ann@example.org,+447700900123;+447700900124\n1002,Bob,bob@example.org,\n")
	for _, k := range []struct {
		staff, number string
		want          bool
	}{{"1001", "+447700900123", true}, {"1001", "+447700900124", true}, {"1001", "+447700900125", false}, {"1001", "", false},
		{"1002", "+447700900123", true}} {
		if err := f.db.View(t.Context(), func(tx *store.Tx) error {
			h, err := tx.HolderByStaffNumber(t.Context(), k.staff)
			if err != nil {
				return err
			}
			got, err := f.NumberFits(t.Context(), tx, h.ID, k.number)
			if got != k.want {
				t.Errorf("%s %s: %t", k.staff, k.number, got)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTemplateBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := face.Template(rapid.SliceOf(rapid.Float32()).Draw(t, "template"))
		got, err := decodeTemplate(encodeTemplate(want))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v, %v", got, err)
		}
	})
	for _, bad := range [][]byte{{1}, {1, 2, 3, 4, 5}} {
		if _, err := decodeTemplate(bad); err == nil {
			t.Errorf("%v is taken for a template", bad)
		}
	}
}

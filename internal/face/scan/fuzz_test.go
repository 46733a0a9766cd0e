package scan

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/png"
	"math"
	"slices"
	"testing"
	"time"

	"latchkey/internal/face"
)

// hostile is an engine whose models find anything anywhere: each third face is
// made of bytes.
type hostile struct {
	fake
	marks []byte
	calls int
}

func (h *hostile) spoil(f *face.Found) {
	if h.calls++; h.calls%3 != 0 || len(h.marks) < 4 {
		return
	}
	at := h.calls
	next := func() float32 {
		at += 4
		i := at % (len(h.marks) - 3)
		return math.Float32frombits(binary.LittleEndian.Uint32(h.marks[i:]))
	}
	f.Box = face.Rect{X: next(), Y: next(), W: next(), H: next()}
	for i := range f.Landmarks {
		f.Landmarks[i] = face.Point{X: next(), Y: next()}
	}
}

func (h *hostile) Find(ctx context.Context, p *face.Picture) ([]face.Found, error) {
	all, err := h.fake.Find(ctx, p)
	for i := range all {
		h.spoil(&all[i])
	}
	return all, err
}

func (h *hostile) Mark(_ context.Context, p *face.Picture, _ face.Rect) (face.Found, error) {
	f := readPose(p).found()
	h.spoil(&f)
	return f, nil
}

// FuzzDecide takes a scan that passes and puts a hostile picture, times and
// landmarks into it: whatever they are there is one decision, with scores that
// the audit trail can hold, and nobody is verified without a profile.
func FuzzDecide(f *testing.F) {
	c, good := honest(f)
	var blank bytes.Buffer
	if err := png.Encode(&blank, image.NewGray16(image.Rect(0, 0, 300, 5))); err != nil {
		f.Fatal(err)
	}
	picture := good.Frames[20].JPEG
	none := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(math.NaN())))
	f.Add([]byte(nil), []byte(nil), []byte(nil))
	f.Add(picture, []byte{20, 30, 40}, []byte{0}) // an odd number: nobody to compare with
	f.Add(picture[:len(picture)/2], []byte{1, 2, 3, 4, 5}, []byte(nil))
	f.Add(blank.Bytes(), []byte{12}, bytes.Repeat([]byte{0, 0, 200, 66}, 3))
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x08Exif\x00\x00"), []byte{0x85, 0x10, 0xff, 7}, none)
	f.Add(picture, []byte{3, 0xc0, 0x00, 0x80, 44, 0x40, 0xff, 0xff}, bytes.Repeat([]byte{0xff, 0xff, 0x7f, 0x7f}, 9))
	f.Fuzz(func(t *testing.T, data, changes, marks []byte) {
		e := face.Evidence{Frames: slices.Clone(good.Frames), Windows: slices.Clone(good.Windows)}
		for len(changes) > 0 && len(e.Frames) > 0 {
			// A byte below 0x80 puts the picture into that frame. Another one
			// changes a time or the order, by the two bytes after it.
			k := changes[0]
			changes = changes[1:]
			if k < 0x80 || len(changes) < 2 {
				e.Frames[int(k)%len(e.Frames)].JPEG = data
				continue
			}
			i, by := int(changes[0]), time.Duration(int8(changes[1]))*20*time.Millisecond
			changes = changes[2:]
			n := i % len(e.Frames)
			w := &e.Windows[i%len(e.Windows)]
			switch k % 8 {
			case 0:
				e.Frames[n].At += by
			case 1:
				e.Frames[n].Step += int(by) % 7
			case 2:
				w.Told = w.Told.Add(by)
			case 3:
				w.Fixed = w.Fixed.Add(by)
			case 4:
				e.Frames = slices.Delete(e.Frames, n, n+1)
			case 5:
				e.Frames = slices.Insert(e.Frames, n, e.Frames[0])
			case 6:
				e.Windows = e.Windows[:1+i%len(e.Windows)]
			case 7:
				e.Frames[n].At = time.Duration(math.MaxInt64) * time.Duration(int8(i))
			}
		}
		var who *face.Profile
		if len(marks)%2 == 0 {
			who = profile(1)
		}
		o := DefaultOptions()
		o.Processors, o.Random = 1, source(5)
		d, err := New(&hostile{marks: marks}, o).Decide(t.Context(), c, e, who)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("%v: %v", d.Scores, err)
		}
		if who == nil && d.Reason == face.Verified {
			t.Errorf("verified as nobody: %v", d.Scores)
		}
	})
}

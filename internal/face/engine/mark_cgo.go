//go:build cgo

package engine

import (
	"context"

	"latchkey/internal/face"
)

// Mark finds the landmarks of a face whose place is known from the frame
// before. It is quicker than Find, which looks for faces in the whole picture.
func (e *engine) Mark(ctx context.Context, p *face.Picture, box face.Rect) (face.Found, error) {
	if err := whole(p); err != nil {
		return face.Found{}, err
	}
	l, err := e.take(ctx)
	if err != nil {
		return face.Found{}, err
	}
	defer func() { e.lanes <- l }()
	f := face.Found{Box: box, Score: 1}
	return f, e.mark(l, p, &f)
}

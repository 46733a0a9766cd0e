//go:build cgo && !linux

package engine

import "errors"

// file gives the path of the library.
func (l library) file() (path string, done func(), err error) {
	if l.path == "" {
		return "", nil, errors.New("there is no way to load it from memory on this system")
	}
	return l.path, func() {}, nil
}

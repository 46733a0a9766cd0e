package seal

import (
	"context"
	"errors"
	"fmt"

	"latchkey/internal/problem"
)

// Provider holds a key-encryption key outside the database and wraps data keys
// with it. The key has versions; the newest wraps, all of them unwrap.
//
// Errors: problem.ProviderGone where it cannot be reached (nothing is lost, try
// again), problem.ProviderRefused where it says no, problem.KeyWrong for what
// it did not wrap or a version that it does not have.
type Provider interface {
	// Name is what the provider is called in the database and in settings.
	Name() string
	// Newest is the newest version of its key.
	Newest(ctx context.Context) (string, error)
	// Wrap encrypts a data key with the newest version. what is bound to it and
	// must be the same when it is unwrapped.
	Wrap(ctx context.Context, secret []byte, what string) (version string, wrapped []byte, err error)
	// Unwrap gives the data key back.
	Unwrap(ctx context.Context, version string, wrapped []byte, what string) ([]byte, error)
	// Rotate makes a newer version and gives its name.
	Rotate(ctx context.Context) (string, error)
	// Close gives connections up.
	Close() error
}

// FileName is the name of the provider that keeps its key in a file.
const FileName = "file"

// File is the Provider whose key-encryption key is a file of this machine (see
// Create). Nodes of one database have copies of one file.
type File struct{ path string }

// NewFile gives the provider of a key file. Errors are those of Load.
func NewFile(path string) (*File, error) {
	if _, err := Load(path); err != nil {
		return nil, err
	}
	return &File{path}, nil
}

// kindDataKey is the kind of a data key wrapped by a file's key.
const kindDataKey = "data-key"

// Name is FileName.
func (*File) Name() string { return FileName }

// Newest is the fingerprint of the last key in the file.
func (f *File) Newest(context.Context) (string, error) {
	k, err := Load(f.path)
	if err != nil {
		return "", err
	}
	return k.ID(), nil
}

// Wrap seals the data key. The file is read each time: it may have a newer
// version, and the key is not kept in memory.
func (f *File) Wrap(_ context.Context, secret []byte, what string) (string, []byte, error) {
	k, err := Load(f.path)
	if err != nil {
		return "", nil, err
	}
	wrapped, err := k.Seal(kindDataKey, []string{what}, secret)
	return k.ID(), wrapped, err
}

// Unwrap opens the data key.
func (f *File) Unwrap(_ context.Context, version string, wrapped []byte, what string) ([]byte, error) {
	k, err := Load(f.path)
	if err != nil {
		return nil, err
	}
	secret, err := k.Open(kindDataKey, []string{what}, wrapped)
	switch {
	case errors.Is(err, ErrOtherKey):
		return nil, problem.Wrap(problem.KeyWrong, fmt.Errorf("key %s is not in %s", version, f.path))
	case err != nil:
		return nil, problem.Wrap(problem.KeyWrong, err)
	}
	return secret, nil
}

// Rotate adds a fresh key to the file.
func (f *File) Rotate(context.Context) (string, error) {
	secret := newSecret()
	if err := addKey(f.path, kekPrefix, secret); err != nil {
		return "", err
	}
	return newKeyring(secret).ID(), nil
}

// Close does nothing.
func (*File) Close() error { return nil }

// legacy gives the file's first key as a data key: before there were data keys
// it was used itself.
func (f *File) legacy(id string) ([]byte, bool, error) {
	secrets, err := readKeys(f.path, kekPrefix)
	if err != nil {
		return nil, false, err
	}
	for _, secret := range secrets {
		if newKeyring(secret).ID() == id {
			return secret, true, nil
		}
	}
	return nil, false, nil
}

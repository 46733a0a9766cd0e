// Package hsm is the key provider of a hardware security module that is spoken
// to through PKCS#11 (version 2.40). The key-encryption key is an AES-256 key
// that never leaves the module; data keys are wrapped with AES-GCM in it.
//
// The module's library is C, so the provider is there only in a latchkeyd that
// was built with cgo and the tag "pkcs11".
package hsm

// Name is the provider's name.
const Name = "pkcs11"

// Options of New.
type Options struct {
	Module string // the module's library, such as /usr/lib/softhsm/libsofthsm2.so
	Token  string // label of the token
	PIN    string
	Key    string // label of the key; its versions differ in CKA_ID
}

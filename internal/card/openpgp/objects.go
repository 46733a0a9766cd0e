package openpgp

import (
	"fmt"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// Status is the PW status bytes (DO C4, section 4.4.3.1): greatest lengths in
// bytes and tries left.
type Status struct {
	MaxPIN, MaxResettingCode, MaxAdminPIN int
	PIN, ResettingCode, AdminPIN          int // tries left; a resetting code that was never set has none
}

// formatBlock2 in a length says that the card wants PINs as PIN block format 2
// of ISO 9564-1, which is for readers with a keypad.
const formatBlock2 = 0x80

// ParseStatus reads DO C4. A card that wants PINs as PIN blocks is not served:
// card.ErrNotSupported.
func ParseStatus(object []byte) (Status, error) {
	if len(object) != 7 {
		return Status{}, fmt.Errorf("PW status bytes: %w", card.ErrMalformed)
	}
	for _, length := range object[1:4] {
		if length&formatBlock2 != 0 {
			return Status{}, fmt.Errorf("%w: it wants PIN blocks", card.ErrNotSupported)
		}
	}
	return Status{MaxPIN: int(object[1]), MaxResettingCode: int(object[2]), MaxAdminPIN: int(object[3]),
		PIN: int(object[4]), ResettingCode: int(object[5]), AdminPIN: int(object[6])}, nil
}

// of is the tries left of a reference.
func (s Status) of(r card.Reference) int {
	switch r {
	case card.ReferenceAdminPIN:
		return s.AdminPIN
	case card.ReferenceResettingCode:
		return s.ResettingCode
	}
	return s.PIN
}

// Application is what is read of the application related data (DO 6E).
type Application struct {
	Status         Status
	Authentication []byte // DO C3: algorithm attributes of the authentication key; may be missing
}

// ParseApplication reads the value of DO 6E. On old cards the objects stand in
// it, since version 2 in the discretionary data objects (DO 73).
func ParseApplication(object []byte) (Application, error) {
	list, err := apdu.ParseTLV(object)
	if err != nil {
		return Application{}, fmt.Errorf("application related data: %w", card.ErrMalformed)
	}
	if inner, ok := apdu.Find(list, objectDiscretionary); ok {
		more, err := apdu.ParseTLV(inner)
		if err != nil {
			return Application{}, fmt.Errorf("discretionary data objects: %w", card.ErrMalformed)
		}
		list = append(more, list...)
	}
	raw, _ := apdu.Find(list, objectPWStatus)
	status, err := ParseStatus(raw)
	if err != nil {
		return Application{}, err
	}
	algorithm, _ := apdu.Find(list, objectAlgorithm)
	return Application{Status: status, Authentication: algorithm}, nil
}

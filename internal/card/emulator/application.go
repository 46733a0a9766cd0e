package emulator

import "bytes"

// application is one application of the card. The card calls it with its lock
// held; what it remembers without power is in the card's State, what it forgets
// is its own.
//
// A family is added by a file of its own: a struct in State, an application, an
// entry in applications, a case in NewState and, where LoadState must check
// something, in State.check.
type application interface {
	// aid is the application's whole identifier; it is selected by any
	// beginning of it of at least five bytes.
	aid() []byte
	// selected answers SELECT; again means that it was selected already.
	selected(again bool) []byte
	// answer answers any other command.
	answer(cmd command) ([]byte, uint16)
	// forget drops what is lost at a reset.
	forget()
}

// applications are those of a card, in the order in which a SELECT finds them.
func applications(s *State) []application {
	var list []application
	if s.PIV != nil {
		list = append(list, &piv{s: s})
	}
	if s.GIDS != nil {
		list = append(list, &gids{s: s.GIDS})
	}
	if s.OpenPGP != nil {
		list = append(list, &openpgp{s: s})
	}
	if s.ISO != nil {
		list = append(list, &iso{s: s.ISO, file: masterFile})
	}
	if s.YubiKey {
		list = append(list, &management{s: s})
	}
	return list
}

// implicit is the application that is selected without any SELECT: that of a
// profile, whose files are there from the beginning.
func implicit(list []application) application {
	for _, a := range list {
		if i, ok := a.(*iso); ok {
			return i
		}
	}
	return nil
}

// minAID is the shortest beginning of an identifier that selects: the
// registered part (ISO/IEC 7816-4 section 12.2.3).
const minAID = 5

// selectByName is SELECT with the name of an application. A name that is not
// found leaves the card as it is.
func (c *Card) selectByName(name []byte) ([]byte, uint16) {
	for _, a := range c.applications {
		if len(name) < minAID || !bytes.HasPrefix(a.aid(), name) {
			continue
		}
		again := c.current == a
		if !again && c.current != nil {
			c.current.forget()
		}
		c.current = a
		return a.selected(again), swOK
	}
	return nil, swNotFound
}

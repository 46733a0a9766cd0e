package directory

import (
	"slices"
	"strings"

	"latchkey/internal/card"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
)

// family is what is known of a card family's records.
type family struct {
	name       card.Family
	digits     int    // of its identifier, hexadecimal; 0: as the card's profile has it
	identifier string // in words
	hexSerial  bool   // serial numbers are hexadecimal
	kinds      []string
}

// families are the card families, with the kinds of keys that unblock their
// cards.
func families() []family {
	return []family{
		// SP 800-73-4 part 1 section 3.1.2.
		{card.FamilyPIV, 32, "a GUID of 32 hexadecimal digits", false, []string{cardkey.PUK}},
		{card.FamilyGIDS, 32, "a card identifier of 32 hexadecimal digits", false, []string{cardkey.Admin3DES}},
		// Maker and serial number of the AID (OpenPGP card 3.4 section 4.2.1).
		{card.FamilyOpenPGP, 12, "maker and serial number, 12 hexadecimal digits", true, []string{cardkey.AdminPIN, cardkey.ResettingCode}},
		{card.FamilyISO7816, 0, "2 to 64 hexadecimal digits", false, []string{cardkey.PUK}},
	}
}

func familyOf(name string) (family, error) {
	var known []string
	for _, f := range families() {
		if string(f.name) == name {
			return f, nil
		}
		known = append(known, string(f.name))
	}
	return family{}, badLine(problem.ImportLine, "The card family %.40q is not known. Known are: %s.", name, strings.Join(known, ", "))
}

// normaliseIdentifier gives the form of card.Identity.ID: lower-case hex.
// Separators, braces and "urn:uuid:" are forgiven.
func normaliseIdentifier(name, text string) (string, error) {
	f, err := familyOf(name)
	if err != nil {
		return "", err
	}
	id := strings.TrimPrefix(strings.ToLower(text), "urn:uuid:")
	id = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -:{}", r) {
			return -1
		}
		return r
	}, id)
	fits := len(id) == f.digits || f.digits == 0 && len(id) >= 2 && len(id) <= 64 && len(id)%2 == 0
	if !fits || strings.Trim(id, "0123456789abcdef") != "" {
		return "", badLine(problem.ImportLine, "The identifier %.60q is not %s.", text, f.identifier)
	}
	if strings.Trim(id, "0") == "" {
		return "", badLine(problem.ImportLine, "The identifier is all zeros: the card has none.")
	}
	return id, nil
}

// normaliseSerial gives the form of card.Identity.Serial: decimal, or 8
// hexadecimal digits where a family has those. A YubiKey's decimal one has no
// zeros before it in any family.
func normaliseSerial(name, identifier, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	serial := strings.ToUpper(strings.ReplaceAll(text, " ", ""))
	const yubico = "0006" // numbers its cards in decimal
	if f, err := familyOf(name); err == nil && f.hexSerial && !strings.HasPrefix(identifier, yubico) && len(serial) == 8 && strings.Trim(serial, "0123456789ABCDEF") == "" {
		return serial, nil
	}
	serial = strings.TrimLeft(serial, "0")
	if !digits(serial) || len(serial) > 20 {
		return "", badLine(problem.ImportLine, "The serial number %.40q is not a decimal number.", text)
	}
	return serial, nil
}

// parseKind gives the kind of key of a line; without one it is the family's
// first.
func parseKind(name, kind string) (string, error) {
	f, err := familyOf(name)
	if err != nil {
		return "", err
	}
	switch {
	case kind == "":
		return f.kinds[0], nil
	case !slices.Contains(f.kinds, kind):
		return "", badLine(problem.ImportLine, "A card of family %s is not unlocked with the kind of key %.40q. Known are: %s.", name, kind, strings.Join(f.kinds, ", "))
	}
	return kind, nil
}

// parseCardKey reads the key of a line, nil where it has none.
func parseCardKey(name string, r row) (kind string, key []byte, err error) {
	kind, text := strings.ToLower(r.get("key_kind")), r.get("key")
	if puk := r.get("puk"); puk != "" {
		if text != "" {
			return "", nil, badLine(problem.ImportLine, "The line has a PUK and a key: it can have one.")
		}
		kind, text = cardkey.PUK, puk
	}
	if kind, err = parseKind(name, kind); err != nil || text == "" {
		return kind, nil, err
	}
	if key, err = cardkey.Parse(kind, text); err != nil {
		return "", nil, badLine(problem.ImportLine, "The key of this line cannot be used: %v.", err) // never shows it
	}
	return kind, key, nil
}

package emulator

import (
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"strings"
)

// ExportCSV gives the card as a line for latchkeyd import cards, after the
// header line where that is wanted. Cards without PIV have a header of their
// own: they have other keys.
func (s State) ExportCSV(staffNumber string, header bool) (string, error) {
	names, values := s.exportPIV(staffNumber)
	if s.PIV == nil {
		names, values = s.exportOther(staffNumber)
	}
	lines := [][]string{values}
	if header {
		lines = [][]string{names, values}
	}
	var out strings.Builder
	if err := csv.NewWriter(&out).WriteAll(lines); err != nil {
		return "", fmt.Errorf("export the card: %w", err)
	}
	return out.String(), nil
}

func (s State) exportPIV(staffNumber string) (names, values []string) {
	if s.PIV == nil {
		return nil, nil
	}
	serial := ""
	if s.YubiKey { // no other card tells its serial number
		serial = fmt.Sprint(s.Serial)
	}
	certificates := map[string]string{}
	for _, k := range s.Keys {
		certificates[k.Slot] = base64.StdEncoding.EncodeToString(k.Certificate)
	}
	return []string{"family", "identifier", "serial", "staff_number", "puk",
			"card_authentication_certificate", "piv_authentication_certificate"},
		[]string{"piv", s.GUID, serial, staffNumber, s.PUK, certificates["9E"], certificates["9A"]}
}

// exportOther names the key by its kind and gives the
// certificate of the key that signs for the cardholder.
func (s State) exportOther(staffNumber string) (names, values []string) {
	names = []string{"family", "identifier", "serial", "staff_number", "key_kind", "key", "authentication_certificate"}
	if g := s.GIDS; g != nil {
		certificate := ""
		if len(g.Keys) > 0 {
			certificate = base64.StdEncoding.EncodeToString(g.Keys[0].Certificate)
		}
		return names, []string{"gids", g.Identifier(), "", staffNumber, "administration-key-3des", g.AdminKey, certificate}
	}
	if i := s.ISO; i != nil {
		return names, []string{"iso7816", i.Number, "", staffNumber, "puk", i.PUK, ""}
	}
	o := s.OpenPGP
	return names, []string{"openpgp", o.Identifier(), fmt.Sprintf("%08X", o.Number), staffNumber, "admin-pin", o.AdminPIN.String(),
		base64.StdEncoding.EncodeToString(o.Objects["7F21"])}
}

package emulator

import (
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"strings"
)

// ExportCSV gives the card as a line for latchkeyd import cards, after the
// header line where that is wanted.
func (s State) ExportCSV(staffNumber string, header bool) (string, error) {
	serial := ""
	if s.YubiKey { // no other card tells its serial number
		serial = fmt.Sprint(s.Serial)
	}
	certificates := map[string]string{}
	for _, k := range s.Keys {
		certificates[k.Slot] = base64.StdEncoding.EncodeToString(k.Certificate)
	}
	var lines [][]string
	if header {
		lines = [][]string{{"family", "identifier", "serial", "staff_number", "puk",
			"card_authentication_certificate", "piv_authentication_certificate"}}
	}
	lines = append(lines, []string{"piv", s.GUID, serial, staffNumber, s.PUK, certificates["9E"], certificates["9A"]})
	var out strings.Builder
	if err := csv.NewWriter(&out).WriteAll(lines); err != nil {
		return "", fmt.Errorf("export the card: %w", err)
	}
	return out.String(), nil
}

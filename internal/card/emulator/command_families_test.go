package emulator_test

import (
	"strings"
	"testing"

	"latchkey/internal/card/emulator"
)

func TestCommandsOfOtherFamilies(t *testing.T) {
	t.Parallel()
	const admin, user = "00200083083132333435363738", "0020008206313233343536"
	gids, blank := emulator.Options{Family: emulator.FamilyGIDS}, emulator.Options{Family: emulator.FamilyGIDS, Blank: true}
	pgp, yubikey := emulator.Options{Family: emulator.FamilyOpenPGP}, emulator.Options{Family: emulator.FamilyYubiKey, Serial: 12345678}
	for _, c := range []struct {
		name     string
		options  emulator.Options
		commands []string
		want     string // how the last answer begins
	}{
		{"GIDS select", gids, []string{selectGIDS}, "61124F0BA0000003974254465902017303"},
		{"GIDS card has no PIV", gids, []string{selectPIV}, "6A82"},
		{"GIDS file", gids, []string{selectGIDS, "00A4000C02A010"}, "9000"},
		{"GIDS file that is not", gids, []string{selectGIDS, "00A4000C02A01F"}, "6A82"},
		{"GIDS empty VERIFY", gids, []string{selectGIDS, "00200080"}, "63C3"},
		{"GIDS PIN of another reference", gids, []string{selectGIDS, "0020008104313233"}, "6700"},
		{"GIDS unknown reference", gids, []string{selectGIDS, "002000810431323334"}, "6A88"},
		{"GIDS challenge before the key is chosen", gids, []string{selectGIDS, "00870000047C02810000"}, "6985"},
		{"GIDS answer before a challenge", gids, []string{selectGIDS, "0022C1A403830180", "008700000C7C0A82080000000000000000"}, "6985"},
		{"GIDS key that is not", gids, []string{selectGIDS, "0022C1A403830181"}, "6A88"},
		{"GIDS unblock without authentication", gids, []string{selectGIDS, "002C02800431323334"}, "6982"},
		{"GIDS unblock with a PUK", gids, []string{selectGIDS, "002C00800431323334"}, "6A86"},
		{"GIDS object", gids, []string{selectGIDS, "00CBA010045C02DF2100"}, "DF21086D736370000000009000"},
		{"GIDS object that is not", gids, []string{selectGIDS, "00CBA010045C02DF7F00"}, "6A82"},
		{"GIDS file that nobody reads", gids, []string{selectGIDS, "00CBA011045C02DF7F00"}, "6982"},
		{"GIDS write without a PIN", gids, []string{selectGIDS, "00DBA01004DF210161"}, "6982"},
		{"GIDS write with a PIN", gids, []string{selectGIDS, "0020008006313233343536", "00DBA01004DF210161", "00CBA010045C02DF2100"}, "DF2101619000"},
		{"GIDS identifier is the administrator's to write", gids, []string{selectGIDS, "0020008006313233343536", "00DBA01204DF200161"}, "6982"},
		{"GIDS file is made before the card is issued alone", gids, []string{selectGIDS, "00E000000E620C8201398302A0158C03033000"}, "6982"},
		{"GIDS tries of a PUK", gids, []string{selectGIDS, "00CB3FFF045C027F7300"}, "6A88"},
		{"GIDS sign without a PIN", gids, []string{selectGIDS, "002241B606800157840181", "002A9E9A20" + strings.Repeat("00", 32) + "00"}, "6982"},
		{"blank GIDS card asks for no PIN", blank, []string{selectGIDS, "00200080"}, "9000"},
		{"blank GIDS card cannot authenticate", blank, []string{selectGIDS, "0022C1A403830180", "00870000047C02810000"}, "6986"},
		{"blank GIDS card is not activated without a PIN", blank, []string{selectGIDS, "00A4000C023FFF", "0044000000"}, "6985"},

		{"OpenPGP select", pgp, []string{selectOpenPGP}, "6F128410D27600012401"},
		{"OpenPGP select on a YubiKey", yubikey, []string{selectOpenPGP}, "9000"},
		{"OpenPGP name of a YubiKey", yubikey, []string{selectOpenPGP, "00CA004F00"}, "D27600012401030400061234567800009000"},
		{"OpenPGP version of a YubiKey", yubikey, []string{selectOpenPGP, "00F1000000"}, "0504039000"},
		{"OpenPGP version of another card", pgp, []string{selectOpenPGP, "00F1000000"}, "6D00"},
		{"OpenPGP status", pgp, []string{selectOpenPGP, "00CA00C400"}, "007F7F7F0300039000"},
		{"OpenPGP object that is not", pgp, []string{selectOpenPGP, "00CA00FA00"}, "6A88"},
		{"OpenPGP constructed object", pgp, []string{selectOpenPGP, "00CA007A00"}, "93030000009000"},
		{"OpenPGP constructed object of a YubiKey", yubikey, []string{selectOpenPGP, "00CA007A00"}, "7A0593030000009000"},
		{"OpenPGP no KDF", pgp, []string{selectOpenPGP, "00CA00F900"}, "8101009000"},
		{"OpenPGP wrong PIN", pgp, []string{selectOpenPGP, "0020008206393939393939"}, "6982"},
		{"OpenPGP code that is not set", pgp, []string{selectOpenPGP, "002C00810E3132333435363738313233343536"}, "6983"},
		{"OpenPGP unblock without the admin PIN", pgp, []string{selectOpenPGP, "002C028106313233343536"}, "6982"},
		{"OpenPGP unblock to a short PIN", pgp, []string{selectOpenPGP, admin, "002C0281053132333435"}, "6700"},
		{"OpenPGP unblock", pgp, []string{selectOpenPGP, admin, "002C028106363534333231", "0020008206363534333231"}, "9000"},
		{"OpenPGP SELECT forgets", pgp, []string{selectOpenPGP, admin, selectOpenPGP, "002C028106363534333231"}, "6982"},
		{"OpenPGP write without the admin PIN", pgp, []string{selectOpenPGP, user, "00DA005B0161"}, "6982"},
		{"OpenPGP write", pgp, []string{selectOpenPGP, admin, "00DA005E0161", "00CA005E00"}, "619000"},
		{"OpenPGP key is never rewritten", pgp, []string{selectOpenPGP, admin, "00478000 02A40000"}, "6982"},
		{"OpenPGP private object", pgp, []string{selectOpenPGP, user, "00DA01030161", "00CA010300"}, "619000"},
		{"OpenPGP private object without a PIN", pgp, []string{selectOpenPGP, "00CA010300"}, "6982"},
		{"OpenPGP authenticate without a PIN", pgp, []string{selectOpenPGP, "0088000020" + strings.Repeat("00", 32) + "00"}, "6982"},
		{"OpenPGP a PIN for one signature", pgp, []string{selectOpenPGP, "0020008106313233343536", "002A9E9A20" + strings.Repeat("00", 32) + "00",
			"002A9E9A20" + strings.Repeat("00", 32) + "00"}, "6982"},
		{"OpenPGP other certificates are empty", pgp, []string{selectOpenPGP, "00A5010406 60045C027F21", "00CA7F2100"}, "9000"},
		{"PIV of a YubiKey is its own", yubikey, []string{selectOpenPGP, "0020008206393939393939", selectPIV, "00200080"}, "63C3"},
		{"a PIN of PIV does not outlive another SELECT", yubikey, []string{selectPIV, "0020008008" + pin, selectOpenPGP, selectPIV, "00200080"}, "63C3"},
		{"metadata of an old YubiKey", emulator.Options{Firmware: "5.2.7"}, []string{selectPIV, "00F7008000"}, "6D00"},
		{"management key of 5.7", emulator.Options{Firmware: "5.7.1"}, []string{selectPIV, "00F7009B00"}, "01010A"},
		{"taken over by the minidriver", emulator.Options{PUKDisabled: true}, []string{selectPIV, "00CB3FFF055C035FFF0000"}, "530580038101039000"},
		{"not taken over", emulator.Options{}, []string{selectPIV, "00CB3FFF055C035FFF0000"}, "6A82"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newCard(t, c.options)
			var got string
			for _, command := range c.commands {
				got = send(t, e, command)
			}
			if !strings.HasPrefix(got, c.want) || len(c.want) == 4 && got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

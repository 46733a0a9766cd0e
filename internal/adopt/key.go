package adopt

import (
	"context"
	"strings"

	"latchkey/internal/card"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
)

// Keys that cards leave the factory with.
const (
	factoryPUK      = "12345678"                                         // YubiKeys and most PIV cards (Yubico's default)
	factoryAdminPIN = "12345678"                                         // OpenPGP card 3.4 section 4.2.2, PW3
	factoryAdmin    = "010203040506070801020304050607080102030405060708" // GIDS
)

// Factory is the KeySource of cards that have the key they left the factory
// with: problem.AdoptNoFactory where that is not known.
func Factory(_ context.Context, family card.Family, kind string) ([]byte, error) {
	switch family {
	case card.FamilyPIV:
		return parse(kind, factoryPUK)
	case card.FamilyOpenPGP:
		return parse(kind, factoryAdminPIN)
	case card.FamilyGIDS:
		return parse(kind, factoryAdmin)
	}
	return nil, problem.New(problem.AdoptNoFactory)
}

// Given is the KeySource of a key that was read before.
func Given(text string) KeySource {
	return func(_ context.Context, _ card.Family, kind string) ([]byte, error) { return parse(kind, text) }
}

// Asked is the KeySource of keys that a person types, or that come one a line.
func Asked(ask func(ctx context.Context, prompt string) (string, error)) KeySource {
	return func(ctx context.Context, _ card.Family, kind string) ([]byte, error) {
		text, err := ask(ctx, prompts()[kind])
		if err != nil {
			return nil, err
		}
		return parse(kind, text)
	}
}

// prompts are what the kinds of keys are called.
func prompts() map[string]string {
	return map[string]string{cardkey.PUK: "PUK of the card", cardkey.AdminPIN: "Admin PIN of the card",
		cardkey.Admin3DES: "Administration key of the card (48 hexadecimal digits)"}
}

func parse(kind, text string) ([]byte, error) {
	key, err := cardkey.Parse(kind, strings.TrimSpace(text))
	if err != nil {
		return nil, problem.Wrap(problem.AdoptKeyForm, err) // never shows it
	}
	return key, nil
}

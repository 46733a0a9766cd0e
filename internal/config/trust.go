package config

import (
	"net/url"
	"slices"
)

// How the revocation of cards is looked up, and what an unknown one means.
const (
	RevocationOff  = "off"
	RevocationCRL  = "crl"
	RevocationOCSP = "ocsp"
	RevocationAny  = "any"
	UnknownRefuse  = "refuse"
	UnknownAllow   = "allow"
)

// Trust are the settings of the certificates of cards.
type Trust struct {
	CardAuthorities       string   `name:"card_authorities" help:"Authorities of cards (PEM: roots, and intermediates): every certificate of a card must come from one of these. Empty: the certificates on record count as they are."`
	CardRevocation        string   `name:"card_revocation" help:"How it is looked up whether a card's certificate was revoked: off, crl, ocsp, or any (what either knows). Needs card_authorities."`
	CardCRL               []string `name:"card_crl" help:"CRLs: files, or addresses (http, https). Empty: where the certificates say."`
	CardOCSP              string   `name:"card_ocsp" help:"OCSP responder (http, https). Empty: the one that a certificate names."`
	CardRevocationUnknown string   `name:"card_revocation_unknown" help:"What is done with a card of which it cannot be known: refuse or allow."`
}

func defaultTrust() Trust {
	return Trust{CardRevocation: RevocationOff, CardRevocationUnknown: UnknownRefuse}
}

// trust are the rules of the certificates of cards.
func (c *Config) trust() []check {
	modes := []string{RevocationOff, RevocationCRL, RevocationOCSP, RevocationAny}
	place := func(s string) bool {
		u, err := url.Parse(s)
		return err != nil || u.Scheme == "" || len(u.Scheme) == 1 || plainWebAddress(s) // one letter is a drive of Windows
	}
	places := true
	for i, s := range c.CardCRL {
		places = places && place(s) && !slices.Contains(c.CardCRL[:i], s)
	}
	return []check{
		{c.CardAuthorities == "" || c.CardRoots == "", "card_roots", "nothing where card_authorities is set: those count for certificates that a card brings, too"},
		{slices.Contains(modes, c.CardRevocation), "card_revocation", "off, crl, ocsp or any"},
		{c.CardRevocation == RevocationOff || c.CardAuthorities != "", "card_revocation", "off where card_authorities is not set"},
		{places, "card_crl", "files or addresses that begin with http:// or https://, each once at most"},
		{c.CardOCSP == "" || plainWebAddress(c.CardOCSP), "card_ocsp", "an address that begins with http:// or https://"},
		{c.CardRevocationUnknown == UnknownRefuse || c.CardRevocationUnknown == UnknownAllow, "card_revocation_unknown", "refuse or allow"},
	}
}

// plainWebAddress says whether s is an address of http or https, without a
// name and password in it. What is fetched from it is signed.
func plainWebAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

package config

import "time"

// Providers of the key-encryption key.
const (
	KeysFile   = "file"
	KeysPKCS11 = "pkcs11"
	KeysVault  = "vault"
)

// JournalOff is the value of key_journal for none.
const JournalOff = "off"

// Keys are the settings of the escrow: what seals the unlocking keys, where
// they are written down before they leave, and how many may leave.
type Keys struct {
	KeyProvider string `name:"key_provider" help:"What holds the key-encryption key: file, pkcs11 (an HSM) or vault."`
	KeyFile     string `name:"key_file" help:"File of the key-encryption key; default is kek.key in the data folder."`
	KeyJournal  string `name:"key_journal" help:"File of this node's key journal; default is keys.journal in the data folder; off for none, and then a restored database goes unnoticed."`

	PKCS11Module string `name:"pkcs11_module" help:"Library of the HSM (PKCS#11)."`
	PKCS11Token  string `name:"pkcs11_token" help:"Label of the HSM's token."`
	PKCS11PIN    string `name:"pkcs11_pin" secret:"yes" help:"The token's user PIN."`
	PKCS11Key    string `name:"pkcs11_key" help:"Label of the key-encryption key in the token."`

	VaultAddress   string `name:"vault_address" help:"Address of HashiCorp Vault."`
	VaultToken     string `name:"vault_token" secret:"yes" help:"Token for Vault."`
	VaultNamespace string `name:"vault_namespace" help:"Vault's namespace; empty for none."`
	VaultCAFile    string `name:"vault_ca_file" help:"Certificate authority (PEM) of Vault; empty for the system's."`
	VaultMount     string `name:"vault_mount" help:"Where Vault's transit engine is mounted."`
	VaultKey       string `name:"vault_key" help:"Name of the key-encryption key in Vault."`

	ReleasesMinute int           `name:"releases_minute" help:"Unlocking keys released a minute before the breaker stops all releases."`
	ReleasesHour   int           `name:"releases_hour" help:"The same an hour."`
	UnprovenMinute int           `name:"unproven_minute" help:"Of these a minute for cards that have not proven themselves."`
	UnprovenHour   int           `name:"unproven_hour" help:"The same an hour."`
	BreakerReopen  time.Duration `name:"breaker_reopen" help:"How long after the breaker has stopped releases a few are tried; 0 to wait for latchkeyd releases start."`
}

func defaultKeys() Keys {
	return Keys{KeyProvider: KeysFile, PKCS11Key: "latchkey", VaultMount: "transit", VaultKey: "latchkey",
		ReleasesMinute: 300, ReleasesHour: 6000, UnprovenMinute: 100, UnprovenHour: 1500}
}

// keys are the rules of the escrow's settings.
func (c *Config) keys() []check {
	return []check{
		{c.KeyProvider == KeysFile || c.KeyProvider == KeysPKCS11 || c.KeyProvider == KeysVault, "key_provider", "file, pkcs11 or vault"},
		{c.VaultAddress == "" || webAddress(c.VaultAddress) || loopbackAddress(c.VaultAddress), "vault_address", "an address that begins with https://; http:// on this machine only"},
		{c.BreakerReopen >= 0, "breaker_reopen", "a time, or 0"},
	}
}

// KeyPath is the file of the key-encryption key.
func (c *Config) KeyPath() string { return orIn(c.KeyFile, c.Data, "kek.key") }

// JournalPath is the file of the key journal, "" for none.
func (c *Config) JournalPath() string {
	if c.KeyJournal == JournalOff {
		return ""
	}
	return orIn(c.KeyJournal, c.Data, "keys.journal")
}

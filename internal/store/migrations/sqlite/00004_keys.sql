-- +goose Up
-- Data keys seal what is secret in the database. They lie here wrapped by a
-- key-encryption key that never does. The highest number seals.
CREATE TABLE data_keys (
    id          TEXT PRIMARY KEY,
    number      BIGINT NOT NULL UNIQUE,
    provider    TEXT NOT NULL,
    kek_version TEXT NOT NULL,
    wrapped     BLOB NOT NULL,
    hashes      BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL
);

-- Master keys give the keys of cards by their identifiers.
CREATE TABLE master_keys (
    id         TEXT PRIMARY KEY,
    number     BIGINT NOT NULL UNIQUE,
    method     TEXT NOT NULL,
    label      TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    sealed_by  TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- A key beside current and pending ('spare') was put back from a key journal.
CREATE TABLE card_keys_as_it_is_now (
    id         TEXT PRIMARY KEY,
    card_id    TEXT NOT NULL REFERENCES cards (id),
    kind       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('current', 'pending', 'spare', 'retired')),
    sealed     BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT NOT NULL,
    epoch      BIGINT NOT NULL DEFAULT 0,
    sealed_by  TEXT NOT NULL DEFAULT '',
    master_id  TEXT NOT NULL DEFAULT '',
    restored   BOOLEAN NOT NULL DEFAULT FALSE
);
INSERT INTO card_keys_as_it_is_now (id, card_id, kind, state, sealed, created_by, created_at, retired_at)
    SELECT id, card_id, kind, state, sealed, created_by, created_at, retired_at FROM card_keys;
DROP TABLE card_keys;
ALTER TABLE card_keys_as_it_is_now RENAME TO card_keys;
CREATE INDEX card_keys_by_card ON card_keys (card_id);
CREATE UNIQUE INDEX card_keys_one_current ON card_keys (card_id) WHERE state = 'current';
CREATE UNIQUE INDEX card_keys_one_pending ON card_keys (card_id) WHERE state = 'pending';
CREATE INDEX card_keys_by_sealing ON card_keys (sealed_by, id);

-- The version grows with every change of where a card's keys stand.
ALTER TABLE cards ADD COLUMN keys_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cards ADD COLUMN keys_mac BLOB;

-- How far the database has come with the key journal of each node.
CREATE TABLE key_journals (
    id         TEXT PRIMARY KEY,
    node       TEXT NOT NULL,
    line       BIGINT NOT NULL,
    hash       BLOB NOT NULL,
    lost       BOOLEAN NOT NULL,
    checked    BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- One row: whether unlocking keys may be released.
CREATE TABLE release_control (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    state      TEXT NOT NULL CHECK (state IN ('running', 'stopped', 'tripped', 'half-open', 'behind')),
    reason     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    reopens_at BIGINT NOT NULL,
    generation BIGINT NOT NULL
);

-- +goose Down
DROP TABLE release_control;
DROP TABLE key_journals;
ALTER TABLE cards DROP COLUMN keys_version;
ALTER TABLE cards DROP COLUMN keys_mac;
DROP INDEX card_keys_by_sealing;
CREATE TABLE card_keys_as_it_is_now (
    id         TEXT PRIMARY KEY,
    card_id    TEXT NOT NULL REFERENCES cards (id),
    kind       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('current', 'pending', 'retired')),
    sealed     BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT NOT NULL
);
INSERT INTO card_keys_as_it_is_now (id, card_id, kind, state, sealed, created_by, created_at, retired_at)
    SELECT id, card_id, kind, CASE WHEN state = 'spare' THEN 'retired' ELSE state END, sealed, created_by, created_at, retired_at FROM card_keys;
DROP TABLE card_keys;
ALTER TABLE card_keys_as_it_is_now RENAME TO card_keys;
CREATE INDEX card_keys_by_card ON card_keys (card_id);
CREATE UNIQUE INDEX card_keys_one_current ON card_keys (card_id) WHERE state = 'current';
CREATE UNIQUE INDEX card_keys_one_pending ON card_keys (card_id) WHERE state = 'pending';
DROP TABLE master_keys;
DROP TABLE data_keys;

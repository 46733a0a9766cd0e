-- +goose Up
-- Data keys seal what is secret in the database. They lie here wrapped by a
-- key-encryption key that never does. The highest number seals.
CREATE TABLE data_keys (
    id          TEXT PRIMARY KEY,
    number      BIGINT NOT NULL UNIQUE,
    provider    TEXT NOT NULL,
    kek_version TEXT NOT NULL,
    wrapped     BYTEA NOT NULL,
    hashes      BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL
);

-- Master keys give the keys of cards by their identifiers.
CREATE TABLE master_keys (
    id         TEXT PRIMARY KEY,
    number     BIGINT NOT NULL UNIQUE,
    method     TEXT NOT NULL,
    label      TEXT NOT NULL,
    sealed     BYTEA NOT NULL,
    sealed_by  TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- A key beside current and pending ('spare') was put back from a key journal.
ALTER TABLE card_keys
    ADD COLUMN epoch     BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN sealed_by TEXT NOT NULL DEFAULT '',
    ADD COLUMN master_id TEXT NOT NULL DEFAULT '',
    ADD COLUMN restored  BOOLEAN NOT NULL DEFAULT FALSE,
    DROP CONSTRAINT card_keys_state_check,
    ADD CONSTRAINT card_keys_state_check CHECK (state IN ('current', 'pending', 'spare', 'retired'));
CREATE INDEX card_keys_by_sealing ON card_keys (sealed_by, id);

-- The version grows with every change of where a card's keys stand.
ALTER TABLE cards ADD COLUMN keys_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cards ADD COLUMN keys_mac BYTEA;

-- How far the database has come with the key journal of each node.
CREATE TABLE key_journals (
    id         TEXT PRIMARY KEY,
    node       TEXT NOT NULL,
    line       BIGINT NOT NULL,
    hash       BYTEA NOT NULL,
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
UPDATE card_keys SET state = 'retired' WHERE state = 'spare';
ALTER TABLE card_keys
    DROP COLUMN epoch, DROP COLUMN sealed_by, DROP COLUMN master_id, DROP COLUMN restored,
    DROP CONSTRAINT card_keys_state_check,
    ADD CONSTRAINT card_keys_state_check CHECK (state IN ('current', 'pending', 'retired'));
DROP TABLE master_keys;
DROP TABLE data_keys;

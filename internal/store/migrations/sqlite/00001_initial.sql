-- +goose Up
-- Timestamps are microseconds since 1970 in UTC, 0 for "never".
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE holders (
    id           TEXT PRIMARY KEY,
    staff_number TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('active', 'suspended')),
    created_at   BIGINT NOT NULL,
    mac          BLOB
);

CREATE TABLE contacts (
    id         TEXT PRIMARY KEY,
    holder_id  TEXT NOT NULL REFERENCES holders (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('email', 'sms')),
    value      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    mac        BLOB,
    UNIQUE (holder_id, kind, value)
);
CREATE INDEX contacts_by_value ON contacts (kind, value);

-- A profile photo: picture and template sealed, digest a keyed hash of the
-- picture. template is empty where model is.
CREATE TABLE photos (
    holder_id TEXT PRIMARY KEY REFERENCES holders (id) ON DELETE CASCADE,
    picture   BLOB NOT NULL,
    template  BLOB,
    model     TEXT NOT NULL,
    digest    BLOB NOT NULL,
    added_by  TEXT NOT NULL,
    added_at  BIGINT NOT NULL,
    mac       BLOB
);
CREATE INDEX photos_by_model ON photos (model, holder_id);

CREATE TABLE cards (
    id             TEXT PRIMARY KEY,
    family         TEXT NOT NULL,
    identifier     TEXT NOT NULL,
    serial         TEXT NOT NULL,
    holder_id      TEXT NOT NULL REFERENCES holders (id),
    state          TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'revoked')),
    expires_at     BIGINT NOT NULL,
    card_auth_cert BLOB,
    piv_auth_cert  BLOB,
    created_at     BIGINT NOT NULL,
    mac            BLOB,
    epoch          BIGINT NOT NULL,
    pending_first  BOOLEAN NOT NULL,
    open_attempt   TEXT NOT NULL,
    tries_out      INTEGER NOT NULL,
    tries_left     INTEGER NOT NULL,
    UNIQUE (family, identifier)
);
CREATE UNIQUE INDEX cards_by_serial ON cards (family, serial) WHERE serial <> '';
CREATE INDEX cards_by_holder ON cards (holder_id);
CREATE INDEX cards_by_open_attempt ON cards (open_attempt) WHERE open_attempt <> '';

-- A card has at most one current and one pending key (the two candidates).
-- Keys of a card outlive everything: nothing cascades here.
CREATE TABLE card_keys (
    id         TEXT PRIMARY KEY,
    card_id    TEXT NOT NULL REFERENCES cards (id),
    kind       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('current', 'pending', 'retired')),
    sealed     BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT NOT NULL
);
CREATE INDEX card_keys_by_card ON card_keys (card_id);
CREATE UNIQUE INDEX card_keys_one_current ON card_keys (card_id) WHERE state = 'current';
CREATE UNIQUE INDEX card_keys_one_pending ON card_keys (card_id) WHERE state = 'pending';

CREATE TABLE sessions (
    id          TEXT PRIMARY KEY,
    token_hash  BLOB,
    card_id     TEXT NOT NULL,
    family      TEXT NOT NULL,
    identifier  TEXT NOT NULL,
    serial      TEXT NOT NULL,
    purpose     TEXT NOT NULL,
    state       TEXT NOT NULL,
    proven      BOOLEAN NOT NULL,
    verified_by TEXT NOT NULL,
    holder_id   TEXT NOT NULL,
    nonce       BLOB,
    public_key  BLOB,
    workstation TEXT NOT NULL,
    network     TEXT NOT NULL,
    application TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL,
    wrong_codes INTEGER NOT NULL,
    sends       INTEGER NOT NULL,
    mac         BLOB
);
CREATE INDEX sessions_live_of_card ON sessions (card_id) WHERE state IN ('verified', 'releasing');
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE one_time_codes (
    session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    hash       BLOB NOT NULL,
    method     TEXT NOT NULL,
    address    TEXT NOT NULL,
    sent_at    BIGINT NOT NULL,
    used       BOOLEAN NOT NULL
);

-- The newest scan of a session's face: what it asks for is sealed, steps is
-- JSON of when each was told and fixed and the digest of its frames. The frames
-- themselves are nowhere.
CREATE TABLE face_scans (
    session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    id         TEXT NOT NULL,
    challenge  BLOB NOT NULL,
    steps      TEXT NOT NULL,
    began_at   BIGINT NOT NULL,
    used       BOOLEAN NOT NULL,
    mac        BLOB
);

CREATE TABLE releases (
    session_id  TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    step        INTEGER NOT NULL,
    card_id     TEXT NOT NULL,
    epoch       BIGINT NOT NULL,
    action      TEXT NOT NULL,
    key_id      TEXT NOT NULL,
    next_id     TEXT NOT NULL,
    envelope    BLOB NOT NULL,
    released_at BIGINT NOT NULL,
    asked       INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    holds       TEXT NOT NULL,
    proven      BOOLEAN NOT NULL,
    reported_at BIGINT NOT NULL,
    PRIMARY KEY (session_id, step)
);

CREATE INDEX releases_by_card ON releases (card_id, epoch);

CREATE TABLE rate_limits (
    bucket   TEXT PRIMARY KEY,
    count    BIGINT NOT NULL,
    reset_at BIGINT NOT NULL
);
CREATE INDEX rate_limits_by_reset ON rate_limits (reset_at);

CREATE TABLE audit (
    node    TEXT NOT NULL,
    seq     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    session TEXT NOT NULL,
    card_id TEXT NOT NULL,
    holder  TEXT NOT NULL,
    details TEXT NOT NULL,
    prev    BLOB NOT NULL,
    hash    BLOB NOT NULL,
    PRIMARY KEY (node, seq)
);

-- The newest entry of each node's chain: it serialises writers and shows a
-- tail that was cut off.
CREATE TABLE audit_heads (
    node TEXT PRIMARY KEY,
    seq  BIGINT NOT NULL,
    hash BLOB NOT NULL
);

-- +goose Down
DROP TABLE audit_heads;
DROP TABLE audit;
DROP TABLE rate_limits;
DROP TABLE releases;
DROP TABLE face_scans;
DROP TABLE one_time_codes;
DROP TABLE sessions;
DROP TABLE card_keys;
DROP TABLE cards;
DROP TABLE photos;
DROP TABLE contacts;
DROP TABLE holders;
DROP TABLE meta;

-- +goose Up
-- What became of each message to a person. Neither its text nor its address is
-- here: address is a keyed pseudonym.
CREATE TABLE messages (
    id          TEXT PRIMARY KEY,
    session     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    method      TEXT NOT NULL,
    address     TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'delivered', 'failed', 'dead')),
    reason      TEXT NOT NULL,
    provider    TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    parts       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    open        INTEGER NOT NULL,
    created_at  BIGINT NOT NULL,
    sent_at     BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX messages_by_time ON messages (created_at);
CREATE INDEX messages_by_session ON messages (session);
CREATE INDEX messages_by_provider_id ON messages (provider, provider_id) WHERE provider_id <> '';
CREATE INDEX messages_by_state ON messages (state, method) WHERE state IN ('queued', 'dead');

-- +goose Down
DROP TABLE messages;

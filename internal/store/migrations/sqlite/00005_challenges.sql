-- +goose Up
-- A card with an administration key is unblocked by the answer to its
-- challenge. One that has proven that it can do so mutually must from then on.
ALTER TABLE releases ADD COLUMN challenge BLOB;
ALTER TABLE cards ADD COLUMN mutual BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE releases DROP COLUMN challenge;
ALTER TABLE cards DROP COLUMN mutual;

-- Who may speak to the gateways. A token itself is nowhere: what is kept is the SHA-256 of its text,
-- which has 256 random bits, so that whoever reads this table can use none of them. Rows stay when a
-- token is revoked, so that it can be told for ever which there were.
CREATE TABLE tokens (
    id         text        PRIMARY KEY,  -- the part of the token's text that may be shown
    name       text        NOT NULL,
    hash       bytea       NOT NULL CHECK (octet_length(hash) = 32),
    scopes     text[]      NOT NULL,
    prefix     text        NOT NULL,  -- of the sources that it is for; empty: of all
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    used_at    timestamptz,  -- about when it was used last
    revoked_at timestamptz
) WITH (fillfactor = 50);  -- room for in-page updates: one in use is updated every minute

-- A name may be given again once its token is revoked.
CREATE UNIQUE INDEX tokens_name_idx ON tokens (name) WHERE revoked_at IS NULL;

CREATE VIEW access_tokens AS
SELECT
    id AS token_id,
    name,
    scopes,
    prefix AS source_prefix,
    created_at,
    expires_at,
    used_at,
    revoked_at
FROM tokens;

COMMENT ON VIEW access_tokens IS 'The tokens that gateways were ever given, without what one would need to use them.';
COMMENT ON COLUMN access_tokens.token_id IS 'The part of the token that may be shown: access logs have it, too.';
COMMENT ON COLUMN access_tokens.name IS 'Whose it is; unique among those that are not revoked.';
COMMENT ON COLUMN access_tokens.scopes IS 'What it allows: read, command, command:TYPE, publish, admin.';
COMMENT ON COLUMN access_tokens.source_prefix IS 'It is for sources that begin so; empty: for all.';
COMMENT ON COLUMN access_tokens.created_at IS 'When it was made.';
COMMENT ON COLUMN access_tokens.expires_at IS 'From when on it is refused; null: never.';
COMMENT ON COLUMN access_tokens.used_at IS 'When it was used last, to about a minute; null: never.';
COMMENT ON COLUMN access_tokens.revoked_at IS 'When it was revoked; null: it is not.';

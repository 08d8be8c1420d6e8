-- Which system has this database: one row at most. It stays when its system gives the claim up, so
-- that whoever had it before can tell by whom it was replaced.
CREATE TABLE claim (
    only_one    boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
    holder      text        NOT NULL,  -- no two systems have the same
    system      text        NOT NULL,
    namespace   text        NOT NULL,
    place       text        NOT NULL,  -- who launched it and where, for people
    traces      text        NOT NULL,  -- by which a launch that is near can tell that it has ended
    claimed_at  timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now(),
    given_up_at timestamptz
) WITH (fillfactor = 50);  -- room for in-page updates: a live system updates it every few seconds

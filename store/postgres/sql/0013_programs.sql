-- Stream programs: what each keeps of its keys, in the transaction of its checkpoints and outputs; and
-- how far event time has come for it.
ALTER TABLE subscriptions ADD COLUMN watermark bigint;  -- Unix microseconds

CREATE TABLE program_states (
    program text   NOT NULL,
    key     text   COLLATE "C" NOT NULL,
    due     bigint,  -- the event time at which the key is to be looked at again, Unix microseconds
    data    bytea  NOT NULL,
    PRIMARY KEY (program, key)
) WITH (
    fillfactor = 50,  -- as in epochs: a busy key is updated by every commit
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX program_states_due_idx ON program_states (program, key) WHERE due IS NOT NULL;

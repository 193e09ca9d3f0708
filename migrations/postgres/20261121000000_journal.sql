-- The journal: what the sequencer has committed to. Rows are written and read by sequencer/src/journal alone.
-- The schema's version is the newest migration in _sqlx_migrations.

-- Which chain this is; exactly one row. The chain id is stored as the signed integer with the same bits.
CREATE TABLE meta (
    singleton    BIGINT NOT NULL PRIMARY KEY CHECK (singleton = 1),
    chain_id     BIGINT NOT NULL,
    genesis_hash BYTEA  NOT NULL CHECK (length(genesis_hash) = 32)
);

-- One row a block, from number 1 on: genesis follows from the chain's specification. The state root is in the header.
CREATE TABLE blocks (
    number      BIGINT NOT NULL PRIMARY KEY CHECK (number > 0),
    hash        BYTEA  NOT NULL UNIQUE CHECK (length(hash) = 32),
    parent_hash BYTEA  NOT NULL CHECK (length(parent_hash) = 32),
    header      BYTEA  NOT NULL,
    body        BYTEA  NOT NULL,
    receipts    BYTEA  NOT NULL
);

-- These two are compressed already: trying again would only cost the commit time.
ALTER TABLE blocks ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE blocks ALTER COLUMN receipts SET STORAGE EXTERNAL;

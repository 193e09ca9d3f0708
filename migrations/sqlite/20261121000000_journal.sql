-- The journal: what the sequencer has committed to. Rows are written and read by sequencer/src/journal alone.
-- The schema's version is the newest migration in _sqlx_migrations.

-- Which chain this is; exactly one row. The chain id is stored as the signed integer with the same bits.
CREATE TABLE meta (
    singleton    INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    chain_id     INTEGER NOT NULL,
    genesis_hash BLOB    NOT NULL CHECK (length(genesis_hash) = 32)
) STRICT;

-- One row a block, from number 1 on: genesis follows from the chain's specification. The state root is in the header.
-- The large columns come last, so that reading a header does not walk over their pages.
CREATE TABLE blocks (
    number      INTEGER NOT NULL PRIMARY KEY CHECK (number > 0),
    hash        BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    parent_hash BLOB    NOT NULL CHECK (length(parent_hash) = 32),
    header      BLOB    NOT NULL,
    body        BLOB    NOT NULL,
    receipts    BLOB    NOT NULL
) STRICT;

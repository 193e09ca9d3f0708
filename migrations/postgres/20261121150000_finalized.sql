-- How far the chain can never be taken back: the newest block that was derived from finalized L1, and the L1 block that
-- it was derived from; at most one row. Derivation resumes there after a restart, and blocks up to it stay for ever.
CREATE TABLE finalized (
    singleton BIGINT NOT NULL PRIMARY KEY CHECK (singleton = 1),
    number    BIGINT NOT NULL CHECK (number >= 0),
    hash      BYTEA  NOT NULL CHECK (length(hash) = 32),
    l1_number BIGINT NOT NULL CHECK (l1_number >= 0),
    l1_hash   BYTEA  NOT NULL CHECK (length(l1_hash) = 32)
);

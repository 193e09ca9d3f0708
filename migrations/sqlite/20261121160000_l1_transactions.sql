-- The batcher's ledger: each signed L1 transaction, written down before anybody sees it. Open ones (fate 0) are watched
-- until they are settled (1: deep in L1's chain, their blocks safe) or abandoned (2: their blocks travel in others).
-- Closed ones lose their bytes, and leave in time. Fees are big-endian numbers of 128 bits.
CREATE TABLE l1_transactions (
    hash              BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    fate              INTEGER NOT NULL CHECK (fate IN (0, 1, 2)),
    nonce             INTEGER NOT NULL,
    attempt           INTEGER NOT NULL,
    channel           BLOB    NOT NULL CHECK (length(channel) = 16),
    first_block       INTEGER NOT NULL,
    last_block        INTEGER NOT NULL,
    last_block_hash   BLOB    NOT NULL CHECK (length(last_block_hash) = 32),
    transaction_bytes INTEGER NOT NULL,
    first_frame       INTEGER NOT NULL,
    frame_count       INTEGER NOT NULL,
    is_last           INTEGER NOT NULL CHECK (is_last IN (0, 1)),
    kind              INTEGER NOT NULL CHECK (kind IN (0, 1)),
    tip               BLOB    NOT NULL CHECK (length(tip) = 16),
    fee_cap           BLOB    NOT NULL CHECK (length(fee_cap) = 16),
    blob_fee_cap      BLOB    NOT NULL CHECK (length(blob_fee_cap) = 16),
    raw               BLOB    CHECK ((raw IS NULL) = (fate <> 0))
) STRICT;

-- To find the open ones, how far the settled ones reach, and the oldest closed ones.
CREATE INDEX l1_transactions_by_fate ON l1_transactions (fate, last_block);

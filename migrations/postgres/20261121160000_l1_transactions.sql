-- The batcher's ledger: each signed L1 transaction, written down before anybody sees it. Open ones (fate 0) are watched
-- until they are settled (1: deep in L1's chain, their blocks safe) or abandoned (2: their blocks travel in others).
-- Closed ones lose their bytes, and leave in time. Fees are big-endian numbers of 128 bits.
CREATE TABLE l1_transactions (
    hash              BYTEA   NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    fate              BIGINT  NOT NULL CHECK (fate IN (0, 1, 2)),
    nonce             BIGINT  NOT NULL,
    attempt           BIGINT  NOT NULL,
    channel           BYTEA   NOT NULL CHECK (length(channel) = 16),
    first_block       BIGINT  NOT NULL,
    last_block        BIGINT  NOT NULL,
    last_block_hash   BYTEA   NOT NULL CHECK (length(last_block_hash) = 32),
    transaction_bytes BIGINT  NOT NULL,
    first_frame       BIGINT  NOT NULL,
    frame_count       BIGINT  NOT NULL,
    is_last           BIGINT  NOT NULL CHECK (is_last IN (0, 1)),
    kind              BIGINT  NOT NULL CHECK (kind IN (0, 1)),
    tip               BYTEA   NOT NULL CHECK (length(tip) = 16),
    fee_cap           BYTEA   NOT NULL CHECK (length(fee_cap) = 16),
    blob_fee_cap      BYTEA   NOT NULL CHECK (length(blob_fee_cap) = 16),
    raw               BYTEA   CHECK ((raw IS NULL) = (fate <> 0))
);

-- To find the open ones, how far the settled ones reach, and the oldest closed ones.
CREATE INDEX l1_transactions_by_fate ON l1_transactions (fate, last_block);

-- Blobs hold what is compressed already.
ALTER TABLE l1_transactions ALTER COLUMN raw SET STORAGE EXTERNAL;

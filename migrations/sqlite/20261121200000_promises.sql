-- The open block, as far as anybody was promised it: its transactions, group by group, before there is a block to hold
-- them. They leave when a block is appended, or when blocks are removed, so all rows are of the block after the newest.
-- `end_index` is the number of transactions up to and including the group's, deposits not counted; the first row has the
-- head, the others an empty one. `last_hash` is that of the newest transaction, or the parent's as long as there is none.
-- The large columns come last, so that finding out how far the promise goes does not walk over their pages.
CREATE TABLE promises (
    end_index    INTEGER NOT NULL PRIMARY KEY CHECK (end_index >= 0),
    number       INTEGER NOT NULL CHECK (number > 0),
    last_hash    BLOB    NOT NULL CHECK (length(last_hash) = 32),
    head         BLOB    NOT NULL,
    transactions BLOB    NOT NULL
) STRICT;

-- What stretches of a block changed: hints for executing it again in parallel, which recovery reads and nobody else.
-- Blocks up to the state's checkpoint need none, so rows leave as new ones come. A table of its own: removing a row
-- must not rewrite the block, and whoever reads blocks does not pass over it.
CREATE TABLE waypoints (
    number    BIGINT NOT NULL PRIMARY KEY CHECK (number > 0),
    stretches BYTEA  NOT NULL
);

-- Compressed already.
ALTER TABLE waypoints ALTER COLUMN stretches SET STORAGE EXTERNAL;

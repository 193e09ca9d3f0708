//! From sealed blocks to the L1 transactions that carry them.

//! From L1 blocks to the L2 chain that they define.

//! The L1 node, by JSON-RPC.

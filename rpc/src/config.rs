//! Limits and switches of the edge. Every bound that a client can run into is here.

use std::time::Duration;

/// How the edge behaves. [`Config::default`] is fit for a public endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The largest HTTP body or WebSocket message taken. Past it: HTTP 413, or the socket is closed.
    pub body_bytes_max: usize,
    /// The largest response sent, a batch's as a whole. Past it: -32003 `response too large`.
    pub response_bytes_max: usize,
    /// How many requests one batch may hold. Past it: -32600 `batch too large`.
    pub batch_requests_max: usize,
    /// How many connections are served at once. Past it: HTTP 503, and the connection is closed.
    pub connections_max: usize,
    /// How many requests of one WebSocket are answered at once. Past it the socket is not read.
    pub websocket_requests_max: usize,
    /// How many bytes of answers, and as many again of events, may wait to be sent on one WebSocket. A subscriber that
    /// lets events fill up is disconnected.
    pub websocket_buffer_bytes: usize,
    /// How many subscriptions one WebSocket may hold.
    pub subscriptions_max: usize,
    /// How many heavy requests (calls, estimates, proofs, logs, fee histories) are in the works at once, over all
    /// connections. Past it: -32000 `server busy`.
    pub heavy_requests_max: usize,
    /// How many senders may wait at once for their transactions' receipts, over all connections. Past it: -32000
    /// `server busy`, and the transaction is not taken.
    pub sync_waiting_max: usize,
    /// How long a sender waits who does not say.
    pub sync_timeout: Duration,
    /// How long a sender may wait. Asking for more gives this much, as geth does.
    pub sync_timeout_max: Duration,
    /// How many blocks one query for logs may span.
    pub log_blocks_max: u64,
    /// How many logs one query may return.
    pub log_results_max: usize,
    /// How many addresses, and how many topics in one position, a filter may list.
    pub filter_items_max: usize,
    /// How many slots one proof may cover.
    pub proof_slots_max: usize,
    /// How many blocks one fee history spans; asking for more gives this many, as geth does.
    pub fee_history_blocks_max: u64,
    /// How long reading and answering one request, or one batch, may take. Past it: -32002 `request timed out`.
    pub request_timeout: Duration,
    /// How long a client may refuse to read what we send before it is disconnected.
    pub stall_timeout: Duration,
    /// How long a connection may be silent.
    pub idle_timeout: Duration,
    /// How often a WebSocket is pinged.
    pub ping_interval: Duration,
    /// How long open requests may take to finish once the server stops.
    pub shutdown_timeout: Duration,
    /// The least priority fee suggested, in wei: what is paid while blocks have room.
    pub suggested_tip_min: u128,
    /// The most priority fee suggested, in wei, whatever others pay.
    pub suggested_tip_max: u128,
    /// Which browser origins may use the edge, `*` for all. Pages on this machine always may.
    pub origins: Vec<String>,
}

const MIB: usize = 1 << 20;
const BODY_BYTES_MAX: usize = 5 * MIB;
const RESPONSE_BYTES_MAX: usize = 16 * MIB;
const WEBSOCKET_BUFFER_BYTES: usize = 16 * MIB;
const FEE_HISTORY_BLOCKS_MAX: u64 = 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
const SYNC_TIMEOUT: Duration = Duration::from_secs(2);
const SYNC_TIMEOUT_MAX: Duration = Duration::from_secs(10);

// A whole response must fit what a WebSocket may have waiting, or it could never be sent.
const _: () = assert!(RESPONSE_BYTES_MAX <= WEBSOCKET_BUFFER_BYTES);
// A socket that answers pings, or waits for its response, is not idle.
const _: () = assert!(2 * PING_INTERVAL.as_secs() < IDLE_TIMEOUT.as_secs());
const _: () = assert!(REQUEST_TIMEOUT.as_secs() < IDLE_TIMEOUT.as_secs());
// Whoever waits for a receipt in vain is told about the transaction, and not that the request timed out.
const _: () = assert!(SYNC_TIMEOUT.as_secs() <= SYNC_TIMEOUT_MAX.as_secs());
const _: () = assert!(SYNC_TIMEOUT_MAX.as_secs() < REQUEST_TIMEOUT.as_secs());

impl Default for Config {
    fn default() -> Self {
        Self {
            body_bytes_max: BODY_BYTES_MAX,
            response_bytes_max: RESPONSE_BYTES_MAX,
            batch_requests_max: 1000,
            connections_max: 500,
            websocket_requests_max: 16,
            websocket_buffer_bytes: WEBSOCKET_BUFFER_BYTES,
            subscriptions_max: 64,
            heavy_requests_max: 128,
            sync_waiting_max: 4_096,
            sync_timeout: SYNC_TIMEOUT,
            sync_timeout_max: SYNC_TIMEOUT_MAX,
            log_blocks_max: 10_000,
            log_results_max: 20_000,
            filter_items_max: 1000,
            proof_slots_max: 1024,
            fee_history_blocks_max: FEE_HISTORY_BLOCKS_MAX,
            request_timeout: REQUEST_TIMEOUT,
            stall_timeout: Duration::from_secs(10),
            idle_timeout: IDLE_TIMEOUT,
            ping_interval: PING_INTERVAL,
            shutdown_timeout: Duration::from_secs(5),
            suggested_tip_min: 1_000_000,
            suggested_tip_max: 500_000_000_000,
            origins: Vec::new(),
        }
    }
}

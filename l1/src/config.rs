//! What an operator says about L1: where it is, which chain it must be, and how patient to be with it.

use std::{fmt, time::Duration};

use millrace_protocol::BlockId;

/// One HTTP(S) address, and the limits that hold for each request to it.
#[derive(Clone)]
pub struct EndpointConfig {
    /// How logs and metrics call it. The address itself is never shown: it often contains a key.
    pub name: String,
    /// Where it is, `http://` or `https://`.
    pub url: String,
    /// Sent with every request, for authorization.
    pub headers: Vec<(String, String)>,
    /// What an `https` connection trusts and presents.
    pub tls: TlsConfig,
    /// How long a request may take, from connecting to the last byte.
    pub request_timeout: Duration,
    /// The longest answer that is read. Receipts of a full mainnet block can take tens of megabytes.
    pub response_bytes_max: usize,
    /// The most calls that are put into one request; providers have limits.
    pub batch_calls_max: usize,
}

/// What an `https` connection trusts and presents.
#[derive(Clone, Default)]
pub struct TlsConfig {
    /// Authorities, as PEM, trusted beside the system's.
    pub authorities_pem: Option<Vec<u8>>,
    /// Our certificate and its private key, as PEM, for servers that ask who we are.
    pub identity_pem: Option<Vec<u8>>,
}

/// Several endpoints of one L1, in the order in which they are preferred.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The endpoints; at least one.
    pub endpoints: Vec<EndpointConfig>,
    /// The chain id that each of them must report.
    pub chain_id: u64,
    /// A block that each of them must have: the rollup's genesis on L1. It tells forks of one chain id apart.
    pub genesis: Option<BlockId>,
    /// How many rounds over the usable endpoints a read takes before it gives up.
    pub rounds_max: u32,
    /// The shortest and longest pause between two rounds; it doubles from one to the other.
    pub backoff: (Duration, Duration),
    /// How long an endpoint is set aside after its first failure, and at most.
    pub aside: (Duration, Duration),
    /// An endpoint whose head is more blocks than this behind the best one isn't asked about the head.
    pub stale_blocks_max: u64,
    /// How old may be what is known of the endpoints' heads before a question about the head compares them again.
    pub heads_age_max: Duration,
    /// How long the other endpoints get to tell their heads once the first one has.
    pub heads_grace: Duration,
    /// Where the jitter of pauses comes from.
    pub seed: u64,
}

/// Why a configuration can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nothing to talk to.
    #[error("no L1 endpoint is configured")]
    NoEndpoint,
    /// The address isn't one.
    #[error("the address of {name} is not an http or https URL")]
    Url {
        /// Whose.
        name: String,
    },
    /// A header can't be sent.
    #[error("header {header} of {name} can't be sent")]
    Header {
        /// Whose.
        name: String,
        /// Which.
        header: String,
    },
    /// A certificate or key can't be read, or the system has no trusted authorities.
    #[error("TLS for {name}: {reason}")]
    Tls {
        /// Whose.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A limit that would make every request fail.
    #[error("{what} must not be zero")]
    Zero {
        /// Which limit.
        what: &'static str,
    },
}

impl EndpointConfig {
    /// An endpoint with default limits.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            headers: Vec::new(),
            tls: TlsConfig::default(),
            request_timeout: Duration::from_secs(10),
            response_bytes_max: 256 << 20,
            batch_calls_max: 50,
        }
    }
}

impl ClientConfig {
    /// A client with default patience.
    pub fn new(endpoints: Vec<EndpointConfig>, chain_id: u64, genesis: Option<BlockId>) -> Self {
        Self {
            endpoints,
            chain_id,
            genesis,
            rounds_max: 4,
            backoff: (Duration::from_millis(200), Duration::from_secs(5)),
            aside: (Duration::from_secs(1), Duration::from_secs(60)),
            stale_blocks_max: 3,
            heads_age_max: Duration::from_secs(6),
            heads_grace: Duration::from_millis(500),
            seed: 0,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.endpoints.is_empty() {
            return Err(ConfigError::NoEndpoint);
        }
        if self.rounds_max == 0 {
            return Err(ConfigError::Zero { what: "the number of rounds" });
        }
        for endpoint in &self.endpoints {
            if endpoint.batch_calls_max == 0 {
                return Err(ConfigError::Zero { what: "the number of calls in a request" });
            }
        }
        Ok(())
    }
}

/// The address and the headers may hold keys, so only the name is shown.
impl fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointConfig")
            .field("name", &self.name)
            .field("request_timeout", &self.request_timeout)
            .field("response_bytes_max", &self.response_bytes_max)
            .field("batch_calls_max", &self.batch_calls_max)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("authorities", &self.authorities_pem.is_some())
            .field("identity", &self.identity_pem.is_some())
            .finish()
    }
}

//! Which rules hold when: a chain's identity and its fork times.

use crate::eip1559_params::Eip1559Params;

/// A chain's identity and the times at which its rules change.
///
/// Valid by construction: forks are in order. Code that follows the rules of one block asks once for
/// [`ChainSpec::rules`] at the block's timestamp and looks only at the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSpec {
    chain_id: u64,
    family: ChainFamily,
}

/// Whose rules a chain follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainFamily {
    /// Ethereum after the merge.
    Ethereum(EthereumForks),
    /// A rollup on the OP Stack, from Bedrock.
    Optimism(OptimismSpec),
}

/// Fork times of a plain Ethereum chain, which starts after the merge. `None` is never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the fork of that name")]
pub struct EthereumForks {
    pub shanghai_time: Option<u64>,
    pub cancun_time: Option<u64>,
    pub prague_time: Option<u64>,
    pub osaka_time: Option<u64>,
}

/// What sets one OP chain apart from another: its EIP-1559 constants and its fork times. `None` is never.
///
/// Forks after Isthmus are unknown here, so a chain that has passed them needs a newer release.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each time is that of the fork of that name")]
pub struct OptimismSpec {
    /// How the base fee moves before Canyon.
    pub eip1559: Eip1559Params,
    /// How it moves from Canyon on: until Holocene, and afterwards wherever the system config says nothing.
    pub eip1559_canyon: Eip1559Params,
    pub canyon_time: Option<u64>,
    pub delta_time: Option<u64>,
    pub ecotone_time: Option<u64>,
    pub fjord_time: Option<u64>,
    pub granite_time: Option<u64>,
    pub holocene_time: Option<u64>,
    pub isthmus_time: Option<u64>,
}

/// The rules of one block: facts that follow from the chain and the block's timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Which EVM executes it.
    pub evm: EvmFork,
    /// Which OP Stack fork adds to that; nothing on a plain Ethereum chain.
    pub optimism: Option<OpFork>,
}

/// Forks of the EVM since the merge, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the fork of that name")]
pub enum EvmFork {
    Paris,
    Shanghai,
    Cancun,
    Prague,
    Osaka,
}

/// Forks of the OP Stack, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpFork {
    /// The first one (with Regolith, which every chain that we can meet had from the start).
    Bedrock,
    /// Brings Shanghai and another base-fee denominator.
    Canyon,
    /// Span batches; no effect on execution.
    Delta,
    /// Brings Cancun, and L1 fees that know blobs.
    Ecotone,
    /// L1 fees by estimated compressed size; P256VERIFY.
    Fjord,
    /// A limit on the input of the bn256 pairing.
    Granite,
    /// EIP-1559 parameters in the header; strict derivation.
    Holocene,
    /// Brings Prague, the operator fee and the message passer's storage root in the header.
    Isthmus,
}

/// Why a chain's description is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainSpecError {
    /// A fork would be active while one that it builds on is not.
    #[error("{later} is scheduled before {earlier}, on which it builds")]
    ForkOrder {
        /// The fork that has to come first.
        earlier: &'static str,
        /// The fork that has to follow.
        later: &'static str,
    },
}

impl ChainSpec {
    /// A plain Ethereum chain.
    pub fn ethereum(chain_id: u64, forks: EthereumForks) -> Result<Self, ChainSpecError> {
        check_order(&forks.schedule().map(|(fork, time)| (fork.name(), time)))?;
        Ok(Self { chain_id, family: ChainFamily::Ethereum(forks) })
    }

    /// An OP chain.
    pub fn optimism(chain_id: u64, spec: OptimismSpec) -> Result<Self, ChainSpecError> {
        check_order(&spec.schedule().map(|(fork, time)| (fork.name(), time)))?;
        Ok(Self { chain_id, family: ChainFamily::Optimism(spec) })
    }

    /// The chain that development runs on: an OP chain with everything up to Isthmus from genesis on.
    pub fn dev(chain_id: u64) -> Self {
        let genesis = Some(0);
        let spec = OptimismSpec {
            eip1559: Eip1559Params::OPTIMISM,
            eip1559_canyon: Eip1559Params::OPTIMISM,
            canyon_time: genesis,
            delta_time: genesis,
            ecotone_time: genesis,
            fjord_time: genesis,
            granite_time: genesis,
            holocene_time: genesis,
            isthmus_time: genesis,
        };
        Self { chain_id, family: ChainFamily::Optimism(spec) }
    }

    /// The number that transactions are signed for.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Whose rules it follows, and when they change.
    pub const fn family(&self) -> &ChainFamily {
        &self.family
    }

    /// The OP Stack's part, unless this is a plain Ethereum chain.
    pub const fn as_optimism(&self) -> Option<&OptimismSpec> {
        match &self.family {
            ChainFamily::Optimism(spec) => Some(spec),
            ChainFamily::Ethereum(_) => None,
        }
    }

    /// The rules of a block with this timestamp.
    pub fn rules(&self, timestamp: u64) -> Rules {
        match &self.family {
            ChainFamily::Ethereum(forks) => Rules {
                evm: newest(forks.schedule(), timestamp).unwrap_or(EvmFork::Paris),
                optimism: None,
            },
            ChainFamily::Optimism(spec) => {
                let fork = newest(spec.schedule(), timestamp).unwrap_or(OpFork::Bedrock);
                Rules { evm: fork.evm(), optimism: Some(fork) }
            }
        }
    }

    /// The constants that move the base fee of a block with this timestamp, before its parent's header has a say.
    pub fn eip1559_constants(&self, timestamp: u64) -> Eip1559Params {
        match &self.family {
            ChainFamily::Ethereum(_) => Eip1559Params::ETHEREUM,
            ChainFamily::Optimism(spec) if self.rules(timestamp).is_active(OpFork::Canyon) => {
                spec.eip1559_canyon
            }
            ChainFamily::Optimism(spec) => spec.eip1559,
        }
    }
}

impl Rules {
    /// Whether this OP Stack fork is active; never on a plain Ethereum chain.
    pub fn is_active(self, fork: OpFork) -> bool {
        self.optimism >= Some(fork)
    }

    /// Whether the block belongs to an OP chain.
    pub const fn is_optimism(self) -> bool {
        self.optimism.is_some()
    }
}

impl OpFork {
    /// The oldest fork whose blocks this project can execute: the fee rules here begin with it.
    pub const OLDEST_EXECUTED: Self = Self::Fjord;

    /// The EVM that the fork runs on.
    pub const fn evm(self) -> EvmFork {
        match self {
            Self::Bedrock => EvmFork::Paris,
            Self::Canyon | Self::Delta => EvmFork::Shanghai,
            Self::Ecotone | Self::Fjord | Self::Granite | Self::Holocene => EvmFork::Cancun,
            Self::Isthmus => EvmFork::Prague,
        }
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock",
            Self::Canyon => "canyon",
            Self::Delta => "delta",
            Self::Ecotone => "ecotone",
            Self::Fjord => "fjord",
            Self::Granite => "granite",
            Self::Holocene => "holocene",
            Self::Isthmus => "isthmus",
        }
    }
}

impl EvmFork {
    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paris => "paris",
            Self::Shanghai => "shanghai",
            Self::Cancun => "cancun",
            Self::Prague => "prague",
            Self::Osaka => "osaka",
        }
    }
}

impl EthereumForks {
    /// Every fork after the first, oldest first.
    const fn schedule(&self) -> [(EvmFork, Option<u64>); 4] {
        [
            (EvmFork::Shanghai, self.shanghai_time),
            (EvmFork::Cancun, self.cancun_time),
            (EvmFork::Prague, self.prague_time),
            (EvmFork::Osaka, self.osaka_time),
        ]
    }
}

impl OptimismSpec {
    /// Every fork after the first, oldest first.
    const fn schedule(&self) -> [(OpFork, Option<u64>); 7] {
        [
            (OpFork::Canyon, self.canyon_time),
            (OpFork::Delta, self.delta_time),
            (OpFork::Ecotone, self.ecotone_time),
            (OpFork::Fjord, self.fjord_time),
            (OpFork::Granite, self.granite_time),
            (OpFork::Holocene, self.holocene_time),
            (OpFork::Isthmus, self.isthmus_time),
        ]
    }
}

/// The newest fork that is active. Order was checked, so the first that answers is the newest.
fn newest<F: Copy, const N: usize>(schedule: [(F, Option<u64>); N], timestamp: u64) -> Option<F> {
    schedule
        .iter()
        .rev()
        .find(|(_, time)| time.is_some_and(|time| time <= timestamp))
        .map(|(fork, _)| *fork)
}

fn check_order(schedule: &[(&'static str, Option<u64>)]) -> Result<(), ChainSpecError> {
    // "Never" is later than every time.
    let time = |time: Option<u64>| time.map_or(u128::MAX, u128::from);
    for pair in schedule.windows(2) {
        let [(earlier, first), (later, second)] = *pair else { continue };
        if time(second) < time(first) {
            return Err(ChainSpecError::ForkOrder { earlier, later });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The constants of OP Sepolia, as its rollup configuration publishes them.
    fn op_sepolia() -> OptimismSpec {
        OptimismSpec {
            eip1559: Eip1559Params::new(50, 6).unwrap(),
            eip1559_canyon: Eip1559Params::new(250, 6).unwrap(),
            canyon_time: Some(1_699_981_200),
            delta_time: Some(1_703_203_200),
            ecotone_time: Some(1_708_534_800),
            fjord_time: Some(1_716_998_400),
            granite_time: Some(1_723_478_400),
            holocene_time: Some(1_732_633_200),
            isthmus_time: Some(1_744_905_600),
        }
    }

    #[test]
    fn a_fork_is_active_from_its_very_second() {
        let spec = ChainSpec::optimism(11_155_420, op_sepolia()).unwrap();
        let check = |timestamp, fork, evm| {
            assert_eq!(
                spec.rules(timestamp),
                Rules { evm, optimism: Some(fork) },
                "at {timestamp}"
            );
        };
        check(0, OpFork::Bedrock, EvmFork::Paris);
        check(1_699_981_199, OpFork::Bedrock, EvmFork::Paris);
        check(1_699_981_200, OpFork::Canyon, EvmFork::Shanghai);
        check(1_703_203_200, OpFork::Delta, EvmFork::Shanghai);
        check(1_708_534_800, OpFork::Ecotone, EvmFork::Cancun);
        check(1_716_998_400, OpFork::Fjord, EvmFork::Cancun);
        check(1_723_478_400, OpFork::Granite, EvmFork::Cancun);
        check(1_732_633_200, OpFork::Holocene, EvmFork::Cancun);
        check(1_744_905_599, OpFork::Holocene, EvmFork::Cancun);
        check(1_744_905_600, OpFork::Isthmus, EvmFork::Prague);
        check(u64::MAX, OpFork::Isthmus, EvmFork::Prague);
    }

    #[test]
    fn canyon_changes_the_denominator() {
        let spec = ChainSpec::optimism(11_155_420, op_sepolia()).unwrap();
        assert_eq!(spec.eip1559_constants(1_699_981_199), Eip1559Params::new(50, 6).unwrap());
        assert_eq!(spec.eip1559_constants(1_699_981_200), Eip1559Params::new(250, 6).unwrap());
        assert_eq!(spec.eip1559_constants(u64::MAX), Eip1559Params::new(250, 6).unwrap());
    }

    #[test]
    fn the_development_chain_has_everything_at_genesis() {
        let spec = ChainSpec::dev(901);
        assert_eq!(spec.chain_id(), 901);
        assert_eq!(spec.rules(0), Rules { evm: EvmFork::Prague, optimism: Some(OpFork::Isthmus) });
        assert_eq!(spec.eip1559_constants(0), Eip1559Params::new(250, 6).unwrap());
    }

    #[test]
    fn an_ethereum_chain_has_no_op_rules() {
        let forks = EthereumForks {
            shanghai_time: Some(0),
            cancun_time: Some(10),
            prague_time: Some(20),
            osaka_time: None,
        };
        let spec = ChainSpec::ethereum(1, forks).unwrap();
        assert_eq!(spec.rules(9).evm, EvmFork::Shanghai);
        assert_eq!(spec.rules(10).evm, EvmFork::Cancun);
        assert_eq!(spec.rules(u64::MAX), Rules { evm: EvmFork::Prague, optimism: None });
        assert!(!spec.rules(u64::MAX).is_active(OpFork::Bedrock));
        assert!(spec.as_optimism().is_none());
        assert_eq!(spec.eip1559_constants(0), Eip1559Params::ETHEREUM);
    }

    #[test]
    fn active_means_this_fork_or_a_later_one() {
        let rules = Rules { evm: EvmFork::Cancun, optimism: Some(OpFork::Holocene) };
        assert!(rules.is_active(OpFork::Bedrock) && rules.is_active(OpFork::Holocene));
        assert!(!rules.is_active(OpFork::Isthmus));
    }

    #[test]
    fn forks_out_of_order_are_refused() {
        let mut spec = op_sepolia();
        spec.granite_time = spec.fjord_time.map(|time| time - 1);
        let error = ChainSpec::optimism(1, spec).unwrap_err();
        assert_eq!(error, ChainSpecError::ForkOrder { earlier: "fjord", later: "granite" });
        assert_eq!(error.to_string(), "granite is scheduled before fjord, on which it builds");

        // A fork that never comes cannot be followed by one that does.
        let mut spec = op_sepolia();
        spec.holocene_time = None;
        let error = ChainSpec::optimism(1, spec).unwrap_err();
        assert_eq!(error, ChainSpecError::ForkOrder { earlier: "holocene", later: "isthmus" });

        let forks = EthereumForks { osaka_time: Some(u64::MAX), ..EthereumForks::default() };
        assert!(ChainSpec::ethereum(1, forks).is_err());
    }
}

//! The precompiled contracts of each fork.

use std::sync::OnceLock;

use millrace_protocol::{EvmFork, OpFork, Rules};
use revm::{
    handler::EthPrecompiles,
    precompile::{
        self, EthPrecompileOutput, EthPrecompileResult, Precompile, PrecompileHalt, PrecompileId,
        Precompiles, bls12_381, bls12_381_const, bn254, call_eth_precompile, secp256r1,
    },
    primitives::hardfork::SpecId,
};

/// The longest inputs that the OP Stack lets through: proving them costs far more than running them. Longer ones consume
/// all the gas of the call.
const BN254_PAIRING_INPUT_MAX: usize = 112_687;
const BLS12_381_G1_MSM_INPUT_MAX: usize = 513_760;
const BLS12_381_G2_MSM_INPUT_MAX: usize = 488_448;
const BLS12_381_PAIRING_INPUT_MAX: usize = 235_008;

/// The precompiled contracts under these rules.
pub(crate) fn precompiles(rules: Rules) -> EthPrecompiles {
    static FJORD: OnceLock<Precompiles> = OnceLock::new();
    static GRANITE: OnceLock<Precompiles> = OnceLock::new();
    static ISTHMUS: OnceLock<Precompiles> = OnceLock::new();

    let spec = spec_id(rules.evm);
    let precompiles = match rules.optimism {
        Some(OpFork::Isthmus) => ISTHMUS.get_or_init(isthmus),
        Some(OpFork::Granite | OpFork::Holocene) => GRANITE.get_or_init(granite),
        Some(OpFork::Fjord) => FJORD.get_or_init(fjord),
        // Older forks are not executed; they add nothing to Ethereum's.
        _ => Precompiles::new(spec.into()),
    };
    EthPrecompiles { precompiles, spec }
}

/// revm's name for an EVM.
pub(crate) const fn spec_id(fork: EvmFork) -> SpecId {
    match fork {
        EvmFork::Paris => SpecId::MERGE,
        EvmFork::Shanghai => SpecId::SHANGHAI,
        EvmFork::Cancun => SpecId::CANCUN,
        EvmFork::Prague => SpecId::PRAGUE,
        EvmFork::Osaka => SpecId::OSAKA,
    }
}

fn fjord() -> Precompiles {
    with(Precompiles::cancun(), [secp256r1::P256VERIFY])
}

fn granite() -> Precompiles {
    with(
        &fjord(),
        [Precompile::new(PrecompileId::Bn254Pairing, bn254::pair::ADDRESS, bn254_pairing)],
    )
}

fn isthmus() -> Precompiles {
    let prague = with(&granite(), bls12_381::precompiles());
    with(
        &prague,
        [
            Precompile::new(PrecompileId::Bls12G1Msm, bls12_381_const::G1_MSM_ADDRESS, g1_msm),
            Precompile::new(PrecompileId::Bls12G2Msm, bls12_381_const::G2_MSM_ADDRESS, g2_msm),
            Precompile::new(PrecompileId::Bls12Pairing, bls12_381_const::PAIRING_ADDRESS, pairing),
        ],
    )
}

fn with(base: &Precompiles, more: impl IntoIterator<Item = Precompile>) -> Precompiles {
    let mut precompiles = base.clone();
    precompiles.extend(more);
    precompiles
}

macro_rules! limited {
    ($name:ident, $max:expr, $run:expr) => {
        fn $name(input: &[u8], gas_limit: u64, reservoir: u64) -> precompile::PrecompileResult {
            let run = |input: &[u8], gas_limit| limited(input, $max, || $run(input, gas_limit));
            Ok(call_eth_precompile(run, input, gas_limit, reservoir))
        }
    };
}

limited!(bn254_pairing, BN254_PAIRING_INPUT_MAX, |input, gas_limit| {
    use bn254::pair::{ISTANBUL_PAIR_BASE, ISTANBUL_PAIR_PER_POINT};
    bn254::run_pair(input, ISTANBUL_PAIR_PER_POINT, ISTANBUL_PAIR_BASE, gas_limit)
});
limited!(g1_msm, BLS12_381_G1_MSM_INPUT_MAX, bls12_381::g1_msm::g1_msm);
limited!(g2_msm, BLS12_381_G2_MSM_INPUT_MAX, bls12_381::g2_msm::g2_msm);
limited!(pairing, BLS12_381_PAIRING_INPUT_MAX, bls12_381::pairing::pairing);

fn limited(
    input: &[u8],
    max: usize,
    run: impl FnOnce() -> Result<EthPrecompileOutput, PrecompileHalt>,
) -> EthPrecompileResult {
    if input.len() > max {
        return Err(PrecompileHalt::Other("input longer than this chain allows".into()));
    }
    run()
}

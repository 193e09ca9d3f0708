//! What tools take for granted on any chain: Multicall3, the CREATE2 deployer and wrapped ether.

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_sol_types::{Revert, SolCall, SolError, SolEvent};
use millrace_contracts::DEV_ACCOUNTS;
use millrace_protocol::predeploys::{CREATE2_DEPLOYER, MULTICALL3, WETH9};
use revm::context::result::ExecutionResult;

use crate::{
    chain::Chain,
    interfaces::{
        IMulticall3::{self, Call, Call3, Call3Value},
        IWETH,
    },
};

const ALICE: Address = DEV_ACCOUNTS[5];
const BOB: Address = DEV_ACCOUNTS[6];

#[test]
fn aggregate3_lets_fail_only_what_may() {
    let mut chain = Chain::new();
    let good = call3(WETH9, false, IWETH::decimalsCall {});
    let bad = |allow| call3(WETH9, allow, IWETH::withdrawCall { wad: U256::from(1) });

    let results = chain
        .view(MULTICALL3, IMulticall3::aggregate3Call { calls: vec![good.clone(), bad(true)] });
    assert_eq!(results.len(), 2);
    assert!(results[0].success && !results[1].success);
    assert_eq!(IWETH::decimalsCall::abi_decode_returns(&results[0].returnData), Ok(18));
    assert_eq!(
        Revert::abi_decode(&results[1].returnData).unwrap().reason,
        "WETH: insufficient balance"
    );

    let calls = vec![good, bad(false)];
    let reason = chain.revert_reason(ALICE, MULTICALL3, IMulticall3::aggregate3Call { calls });
    assert_eq!(reason, "Multicall3: call failed");
    assert!(chain.view(MULTICALL3, IMulticall3::aggregate3Call { calls: vec![] }).is_empty());
}

#[test]
fn aggregate3_value_spends_exactly_what_came() {
    let mut chain = Chain::new();
    let deposit = |value: u64, allow| Call3Value {
        target: WETH9,
        allowFailure: allow,
        value: U256::from(value),
        callData: IWETH::depositCall {}.abi_encode().into(),
    };
    let call =
        IMulticall3::aggregate3ValueCall { calls: vec![deposit(3, false), deposit(4, true)] }
            .abi_encode();
    chain.send(ALICE, MULTICALL3, U256::from(7), call.clone());
    assert_eq!(chain.view(WETH9, IWETH::balanceOfCall { src: MULTICALL3 }), U256::from(7));

    let revert = chain.revert_data(ALICE, MULTICALL3, U256::from(8), call);
    assert_eq!(Revert::abi_decode(&revert).unwrap().reason, "Multicall3: value mismatch");
    let greedy =
        IMulticall3::aggregate3ValueCall { calls: vec![deposit(u64::MAX, false)] }.abi_encode();
    let revert = chain.revert_data(ALICE, MULTICALL3, U256::from(1), greedy);
    assert_eq!(Revert::abi_decode(&revert).unwrap().reason, "Multicall3: call failed");
}

#[test]
fn the_older_forms_agree() {
    let mut chain = Chain::new();
    let good = Call { target: WETH9, callData: IWETH::decimalsCall {}.abi_encode().into() };
    let bad = Call {
        target: WETH9,
        callData: IWETH::withdrawCall { wad: U256::from(1) }.abi_encode().into(),
    };
    let eighteen = Bytes::from(U256::from(18).to_be_bytes_vec());
    let number = U256::from(chain.block.number);

    let result = chain
        .view(MULTICALL3, IMulticall3::aggregateCall { calls: vec![good.clone(), good.clone()] });
    assert_eq!(
        (result.blockNumber, result.returnData),
        (number, vec![eighteen.clone(), eighteen.clone()])
    );
    let calls = vec![good.clone(), bad.clone()];
    let reason =
        chain.revert_reason(ALICE, MULTICALL3, IMulticall3::aggregateCall { calls: calls.clone() });
    assert_eq!(reason, "Multicall3: call failed");

    let tolerant = IMulticall3::tryAggregateCall { requireSuccess: false, calls: calls.clone() };
    let results = chain.view(MULTICALL3, tolerant);
    assert_eq!(results.iter().map(|result| result.success).collect::<Vec<_>>(), [true, false]);
    let strict = IMulticall3::tryAggregateCall { requireSuccess: true, calls: calls.clone() };
    assert_eq!(chain.revert_reason(ALICE, MULTICALL3, strict), "Multicall3: call failed");

    let tolerant =
        IMulticall3::tryBlockAndAggregateCall { requireSuccess: false, calls: calls.clone() };
    let result = chain.view(MULTICALL3, tolerant);
    assert_eq!(
        (result.blockNumber, result.blockHash, result.returnData.len()),
        (number, B256::ZERO, 2)
    );
    let strict = IMulticall3::blockAndAggregateCall { calls };
    assert_eq!(chain.revert_reason(ALICE, MULTICALL3, strict), "Multicall3: call failed");
    let result = chain.view(MULTICALL3, IMulticall3::blockAndAggregateCall { calls: vec![good] });
    assert_eq!(result.returnData[0].returnData, eighteen);
}

#[test]
fn multicall3_tells_about_the_block() {
    let mut chain = Chain::new();
    let block = chain.block.clone();
    assert_eq!(chain.view(MULTICALL3, IMulticall3::getBlockNumberCall {}), block.number);
    assert_eq!(
        chain.view(MULTICALL3, IMulticall3::getCurrentBlockTimestampCall {}),
        block.timestamp
    );
    assert_eq!(
        chain.view(MULTICALL3, IMulticall3::getCurrentBlockCoinbaseCall {}),
        block.beneficiary
    );
    assert_eq!(
        chain.view(MULTICALL3, IMulticall3::getCurrentBlockGasLimitCall {}),
        U256::from(block.gas_limit)
    );
    assert_eq!(chain.view(MULTICALL3, IMulticall3::getBasefeeCall {}), U256::from(block.basefee));
    let randao = U256::from_be_bytes(block.prevrandao.unwrap().0);
    assert_eq!(chain.view(MULTICALL3, IMulticall3::getCurrentBlockDifficultyCall {}), randao);
    let chain_id = U256::from(millrace_contracts::DEV_CHAIN_ID);
    assert_eq!(chain.view(MULTICALL3, IMulticall3::getChainIdCall {}), chain_id);
    let balance = chain.balance(BOB);
    assert_eq!(chain.view(MULTICALL3, IMulticall3::getEthBalanceCall { addr: BOB }), balance);
    // The database answers for past hashes with one that depends on the number; only which is asked matters here.
    let last = IMulticall3::getBlockHashCall { blockNumber: block.number - U256::from(1) };
    let expected = chain.view(MULTICALL3, last);
    assert!(!expected.is_zero());
    assert_eq!(chain.view(MULTICALL3, IMulticall3::getLastBlockHashCall {}), expected);
}

#[test]
fn the_create2_deployer_deploys_where_everybody_computes() {
    let mut chain = Chain::new();
    // Init code that returns one byte of code: PUSH1 0xfe PUSH0 MSTORE8 PUSH1 1 PUSH0 RETURN.
    let init_code = hex!("60fe5f5360015ff3");
    let salt = B256::repeat_byte(0x5a);
    let data = Bytes::from([salt.as_slice(), &init_code].concat());
    let expected = CREATE2_DEPLOYER.create2(salt, keccak256(init_code));

    let result = chain.transact(ALICE, CREATE2_DEPLOYER.into(), U256::ZERO, data.clone());
    assert_eq!(result.into_output().unwrap()[..], expected[..]);
    assert_eq!(chain.code(expected)[..], hex!("fe"));
    // There only once.
    assert!(chain.revert_data(BOB, CREATE2_DEPLOYER, U256::ZERO, data).is_empty());
}

#[test]
fn wrapped_ether_is_backed_one_to_one() {
    let mut chain = Chain::new();
    let balance_of = |chain: &mut Chain, src| chain.view(WETH9, IWETH::balanceOfCall { src });
    let logs = chain.send(ALICE, WETH9, U256::from(10), IWETH::depositCall {}.abi_encode());
    let deposit = IWETH::Deposit::decode_log(&logs[0]).unwrap().data;
    assert_eq!(deposit, IWETH::Deposit { dst: ALICE, wad: U256::from(10) });
    // Both a plain transfer and an unknown call deposit.
    chain.send(ALICE, WETH9, U256::from(1), Bytes::new());
    chain.send(ALICE, WETH9, U256::from(1), hex!("12345678"));
    assert_eq!(balance_of(&mut chain, ALICE), U256::from(12));
    assert_eq!(chain.view(WETH9, IWETH::totalSupplyCall {}), U256::from(12));

    assert!(chain.call(ALICE, WETH9, IWETH::transferCall { dst: BOB, wad: U256::from(5) }));
    assert_eq!(balance_of(&mut chain, BOB), U256::from(5));
    // To oneself, it changes nothing.
    assert!(chain.call(BOB, WETH9, IWETH::transferCall { dst: BOB, wad: U256::from(5) }));
    assert_eq!(balance_of(&mut chain, BOB), U256::from(5));

    let before = chain.balance(BOB);
    let logs =
        chain.send(BOB, WETH9, U256::ZERO, IWETH::withdrawCall { wad: U256::from(5) }.abi_encode());
    let withdrawal = IWETH::Withdrawal::decode_log(&logs[0]).unwrap().data;
    assert_eq!(withdrawal, IWETH::Withdrawal { src: BOB, wad: U256::from(5) });
    assert_eq!(chain.balance(BOB), before + U256::from(5));
    assert_eq!(chain.balance(WETH9), U256::from(7));

    let more = IWETH::withdrawCall { wad: U256::from(1) };
    assert_eq!(chain.revert_reason(BOB, WETH9, more), "WETH: insufficient balance");
    let more = IWETH::transferCall { dst: BOB, wad: U256::from(8) };
    assert_eq!(chain.revert_reason(ALICE, WETH9, more), "WETH: insufficient balance");
}

#[test]
fn allowances_are_counted_down_unless_unlimited() {
    let mut chain = Chain::new();
    chain.send(ALICE, WETH9, U256::from(100), IWETH::depositCall {}.abi_encode());
    let pull = |wad: u64| IWETH::transferFromCall { src: ALICE, dst: BOB, wad: U256::from(wad) };
    let allowance =
        |chain: &mut Chain| chain.view(WETH9, IWETH::allowanceCall { owner: ALICE, spender: BOB });

    assert_eq!(chain.revert_reason(BOB, WETH9, pull(1)), "WETH: insufficient allowance");
    let approve = IWETH::approveCall { guy: BOB, wad: U256::from(30) };
    let logs = chain.send(ALICE, WETH9, U256::ZERO, approve.abi_encode());
    let approval = IWETH::Approval::decode_log(&logs[0]).unwrap().data;
    assert_eq!(approval, IWETH::Approval { src: ALICE, guy: BOB, wad: U256::from(30) });
    let logs = chain.send(BOB, WETH9, U256::ZERO, pull(20).abi_encode());
    let transfer = IWETH::Transfer::decode_log(&logs[0]).unwrap().data;
    assert_eq!(transfer, IWETH::Transfer { src: ALICE, dst: BOB, wad: U256::from(20) });
    assert_eq!(allowance(&mut chain), U256::from(10));
    assert_eq!(chain.revert_reason(BOB, WETH9, pull(11)), "WETH: insufficient allowance");

    chain.call(ALICE, WETH9, IWETH::approveCall { guy: BOB, wad: U256::MAX });
    chain.call(BOB, WETH9, pull(80));
    assert_eq!(allowance(&mut chain), U256::MAX);
    let result = chain.transact(BOB, WETH9.into(), U256::ZERO, pull(1).abi_encode().into());
    assert!(matches!(result, ExecutionResult::Revert { .. }));
}

fn call3(target: Address, allow: bool, call: impl SolCall) -> Call3 {
    Call3 { target, allowFailure: allow, callData: call.abi_encode().into() }
}

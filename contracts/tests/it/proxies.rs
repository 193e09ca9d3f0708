//! The owner, and nobody else, can replace a predeploy's code, and its storage stays.

use alloy_primitives::{Address, Bytes, U256, uint};
use alloy_sol_types::{Revert, SolCall, SolError, SolEvent};
use millrace_contracts::{DEV_ACCOUNTS, implementation_address};
use millrace_protocol::predeploys::{
    BASE_FEE_VAULT, GAS_PRICE_ORACLE, L1_BLOCK, L1_FEE_VAULT, L2_TO_L1_MESSAGE_PASSER,
    OPERATOR_FEE_VAULT, PROXY_ADMIN, SEQUENCER_FEE_VAULT, WETH9,
};

use crate::{
    chain::Chain,
    interfaces::{IFeeVault, IL2ToL1MessagePasser, IProxy, IProxyAdmin, IWETH},
};

const OWNER: Address = DEV_ACCOUNTS[0];
const ANYBODY: Address = DEV_ACCOUNTS[4];
const PROXIED: [Address; 7] = [
    L1_BLOCK,
    GAS_PRICE_ORACLE,
    L2_TO_L1_MESSAGE_PASSER,
    SEQUENCER_FEE_VAULT,
    BASE_FEE_VAULT,
    L1_FEE_VAULT,
    OPERATOR_FEE_VAULT,
];

#[test]
fn explorers_and_the_admin_see_what_is_behind() {
    let mut chain = Chain::new();
    for proxy in PROXIED {
        let code = implementation_address(proxy);
        assert_eq!(
            chain.view(PROXY_ADMIN, IProxyAdmin::getProxyImplementationCall { proxy }),
            code
        );
        assert_eq!(chain.view(PROXY_ADMIN, IProxyAdmin::getProxyAdminCall { proxy }), PROXY_ADMIN);
        // `eth_call` without a sender comes from zero.
        assert_eq!(chain.call(Address::ZERO, proxy, IProxy::implementationCall {}), code);
        assert_eq!(chain.call(Address::ZERO, proxy, IProxy::adminCall {}), PROXY_ADMIN);
        // Anybody else's call goes to the implementation, which has no such function.
        let call = IProxy::adminCall {}.abi_encode();
        assert!(chain.revert_data(ANYBODY, proxy, U256::ZERO, call).is_empty());
    }
}

#[test]
fn an_upgrade_replaces_the_code_and_keeps_the_storage() {
    let mut chain = Chain::new();
    // A vault that becomes a token: nothing else shows as plainly whose code runs.
    let proxy = BASE_FEE_VAULT;
    chain.credit(proxy, U256::from(9));
    let logs = chain.send(
        OWNER,
        PROXY_ADMIN,
        U256::ZERO,
        IProxyAdmin::upgradeCall { proxy, implementation: WETH9 }.abi_encode(),
    );
    assert_eq!(IProxy::Upgraded::decode_log(&logs[0]).unwrap().implementation, WETH9);
    assert_eq!(chain.view(proxy, IWETH::totalSupplyCall {}), U256::from(9));
    // Receiving ether is the new code's business, too.
    chain.send(ANYBODY, proxy, U256::from(4), Bytes::new());
    assert_eq!(chain.view(proxy, IWETH::balanceOfCall { src: ANYBODY }), U256::from(4));

    let back = implementation_address(proxy);
    chain.call(OWNER, PROXY_ADMIN, IProxyAdmin::upgradeCall { proxy, implementation: back });
    assert_eq!(chain.view(proxy, IFeeVault::recipientCall {}), OWNER);
}

#[test]
fn an_upgrade_can_initialise_at_once() {
    let mut chain = Chain::new();
    let upgrade = IProxyAdmin::upgradeAndCallCall {
        proxy: L1_FEE_VAULT,
        implementation: WETH9,
        data: IWETH::depositCall {}.abi_encode().into(),
    };
    chain.send(OWNER, PROXY_ADMIN, U256::from(6), upgrade.abi_encode());
    assert_eq!(chain.view(L1_FEE_VAULT, IWETH::balanceOfCall { src: PROXY_ADMIN }), U256::from(6));

    let fails = IProxyAdmin::upgradeAndCallCall {
        proxy: L1_BLOCK,
        implementation: WETH9,
        data: IWETH::withdrawCall { wad: U256::from(1) }.abi_encode().into(),
    };
    let reason = chain.revert_reason(OWNER, PROXY_ADMIN, fails);
    assert_eq!(reason, "Proxy: delegatecall to new implementation contract failed");
}

#[test]
fn nobody_else_may_touch_a_proxy() {
    let mut chain = Chain::new();
    let refused = "Ownable: caller is not the owner";
    let (proxy, implementation) = (L1_BLOCK, WETH9);
    let upgrade = IProxyAdmin::upgradeCall { proxy, implementation };
    assert_eq!(chain.revert_reason(ANYBODY, PROXY_ADMIN, upgrade), refused);
    let data = Bytes::new();
    let upgrade = IProxyAdmin::upgradeAndCallCall { proxy, implementation, data };
    assert_eq!(chain.revert_reason(ANYBODY, PROXY_ADMIN, upgrade), refused);
    let change = IProxyAdmin::changeProxyAdminCall { proxy, newAdmin: ANYBODY };
    assert_eq!(chain.revert_reason(ANYBODY, PROXY_ADMIN, change), refused);
    let transfer = IProxyAdmin::transferOwnershipCall { newOwner: ANYBODY };
    assert_eq!(chain.revert_reason(ANYBODY, PROXY_ADMIN, transfer), refused);
    assert_eq!(
        chain.revert_reason(ANYBODY, PROXY_ADMIN, IProxyAdmin::renounceOwnershipCall {}),
        refused
    );

    // Straight at the proxy it is not even an upgrade, not for the owner, nor for zero.
    for caller in [ANYBODY, OWNER, Address::ZERO] {
        let upgrade = IProxy::upgradeToCall { implementation }.abi_encode();
        assert!(chain.revert_data(caller, L1_BLOCK, U256::ZERO, upgrade).is_empty());
        let change = IProxy::changeAdminCall { admin: ANYBODY }.abi_encode();
        assert!(chain.revert_data(caller, L1_BLOCK, U256::ZERO, change).is_empty());
    }
}

#[test]
fn code_that_is_not_there_is_refused() {
    let mut chain = Chain::new();
    let upgrade =
        IProxyAdmin::upgradeCall { proxy: L1_BLOCK, implementation: Address::repeat_byte(3) };
    assert_eq!(
        chain.revert_reason(OWNER, PROXY_ADMIN, upgrade),
        "Proxy: implementation has no code"
    );
}

#[test]
fn ownership_moves_and_can_be_given_up_for_ever() {
    let mut chain = Chain::new();
    let nobody = IProxyAdmin::transferOwnershipCall { newOwner: Address::ZERO };
    let reason = chain.revert_reason(OWNER, PROXY_ADMIN, nobody);
    assert_eq!(reason, "Ownable: new owner is the zero address");
    chain.call(OWNER, PROXY_ADMIN, IProxyAdmin::transferOwnershipCall { newOwner: ANYBODY });
    assert_eq!(chain.view(PROXY_ADMIN, IProxyAdmin::ownerCall {}), ANYBODY);
    chain.call(ANYBODY, PROXY_ADMIN, IProxyAdmin::renounceOwnershipCall {});
    assert_eq!(chain.view(PROXY_ADMIN, IProxyAdmin::ownerCall {}), Address::ZERO);
    for caller in [OWNER, ANYBODY, Address::ZERO] {
        let upgrade = IProxyAdmin::upgradeCall { proxy: L1_BLOCK, implementation: WETH9 };
        let result =
            chain.transact(caller, PROXY_ADMIN.into(), U256::ZERO, upgrade.abi_encode().into());
        // A call "from zero" exists only in `eth_call`, and changes nothing there.
        assert_eq!(result.is_success(), caller.is_zero());
    }
}

#[test]
fn a_proxy_can_leave_for_another_admin() {
    let mut chain = Chain::new();
    let change = IProxyAdmin::changeProxyAdminCall { proxy: L1_BLOCK, newAdmin: ANYBODY };
    let logs = chain.send(OWNER, PROXY_ADMIN, U256::ZERO, change.abi_encode());
    let changed = IProxy::AdminChanged::decode_log(&logs[0]).unwrap().data;
    assert_eq!(changed, IProxy::AdminChanged { previousAdmin: PROXY_ADMIN, newAdmin: ANYBODY });
    chain.call(ANYBODY, L1_BLOCK, IProxy::upgradeToCall { implementation: WETH9 });
    assert_eq!(chain.call(ANYBODY, L1_BLOCK, IProxy::implementationCall {}), WETH9);
}

#[test]
fn reverts_come_through_unchanged() {
    let mut chain = Chain::new();
    let minimum = IFeeVault::setMinWithdrawalAmountCall { newMinWithdrawalAmount: U256::MAX };
    chain.call(OWNER, L1_FEE_VAULT, minimum);
    let direct = chain.revert_data(
        ANYBODY,
        L1_FEE_VAULT,
        U256::ZERO,
        IFeeVault::withdrawCall {}.abi_encode(),
    );
    assert!(Revert::abi_decode(&direct).unwrap().reason.starts_with("FeeVault: "));
}

/// The passer's storage root is in headers and proofs. Its own variables keep their slots because the proxy's are at
/// hashes, and here is the proof that nothing else is in there.
#[test]
fn the_proxy_adds_two_slots_and_no_more() {
    let genesis = millrace_contracts::Genesis::dev(millrace_contracts::DevGenesis::default());
    let slots: Vec<_> = genesis.alloc[&L2_TO_L1_MESSAGE_PASSER].storage.keys().copied().collect();
    let implementation =
        uint!(0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc_U256);
    let admin = uint!(0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103_U256);
    assert_eq!(slots, [implementation, admin]);
    let mut chain = Chain::new();
    let nonce = chain.view(L2_TO_L1_MESSAGE_PASSER, IL2ToL1MessagePasser::messageNonceCall {});
    assert_eq!(nonce, U256::from(1) << 240);
}

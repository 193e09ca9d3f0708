//! Code that prepares a chain: the contracts that the load calls, and init code that pays or mints for many accounts at
//! once. All of it is deployed by transactions without a recipient, so that any chain will do.

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use serde_json::Value;

const MSTORE: u8 = 0x52;
const SSTORE: u8 = 0x55;
const JUMPI: u8 = 0x57;
const GAS: u8 = 0x5a;
const JUMPDEST: u8 = 0x5b;
const PUSH0: u8 = 0x5f;
const PUSH2: u8 = 0x61;
const CODECOPY: u8 = 0x39;
const CALL: u8 = 0xf1;
const RETURN: u8 = 0xf3;
const REVERT: u8 = 0xfd;
const AND: u8 = 0x16;
const STOP: u8 = 0x00;

/// The token and the pair that the executor is tested with, too.
const TOKEN: &str = include_str!("../../../executor/zoo/artifacts/Token.json");
const PAIR: &str = include_str!("../../../executor/zoo/artifacts/Pair.json");

/// Deploys a token that anybody may mint.
pub(crate) fn token() -> Bytes {
    deploy(TOKEN, &[])
}

/// Deploys a pair with these reserves, which somebody has to mint for it.
pub(crate) fn pair(tokens: [Address; 2], reserve: u128) -> Bytes {
    let reserves = U256::from(reserve) | U256::from(reserve) << 112;
    deploy(PAIR, &[tokens[0].into_word().into(), tokens[1].into_word().into(), reserves])
}

/// Pays `amount` to each of these, all or none.
pub(crate) fn pay(to: &[Address], amount: U256) -> Bytes {
    let calls = to.iter().map(|to| (Vec::new(), [0; 2], amount, *to));
    run(Vec::new(), calls)
}

/// Mints `amount` of each of these tokens for each of these, all or none.
pub(crate) fn mint(tokens: &[Address], to: &[Address], amount: U256) -> Bytes {
    let mut prepare = Vec::new();
    store(&mut prepare, 0, U256::from(0x40c1_0f19_u32) << 224);
    store(&mut prepare, 36, amount);
    let calls = to.iter().flat_map(|to| tokens.iter().map(move |token| (*to, *token)));
    let calls = calls.map(|(to, token)| {
        let mut argument = Vec::new();
        // The upper bytes of the word stay zero, and those behind it are the amount.
        store(&mut argument, 4, to.into_word().into());
        (argument, [0, 68], U256::ZERO, token)
    });
    run(prepare, calls)
}

/// Calldata of `approve(spender, 2^256 - 1)`.
pub(crate) fn approve(spender: Address) -> Bytes {
    calldata([0x09, 0x5e, 0xa7, 0xb3], &[spender.into_word().into(), U256::MAX])
}

/// Calldata of `transfer(to, amount)`.
pub(crate) fn transfer(to: Address, amount: u64) -> Bytes {
    calldata([0xa9, 0x05, 0x9c, 0xbb], &[to.into_word().into(), U256::from(amount)])
}

/// Calldata of `balanceOf(holder)`.
pub(crate) fn balance_of(holder: Address) -> Bytes {
    calldata([0x70, 0xa0, 0x82, 0x31], &[holder.into_word().into()])
}

/// The first topic of a token's transfers; the second is who sends.
pub(crate) fn transfer_topic() -> B256 {
    keccak256("Transfer(address,address,uint256)")
}

/// Calldata of the pair's `swap(zero_for_one, amount, 0)`.
pub(crate) fn swap(zero_for_one: bool, amount: u64) -> Bytes {
    let selector = keccak256("swap(bool,uint256,uint256)");
    let words = [U256::from(u8::from(zero_for_one)), U256::from(amount), U256::ZERO];
    calldata([selector[0], selector[1], selector[2], selector[3]], &words)
}

fn calldata(selector: [u8; 4], words: &[U256]) -> Bytes {
    let mut data = selector.to_vec();
    words.iter().for_each(|word| data.extend_from_slice(&word.to_be_bytes::<32>()));
    data.into()
}

/// Fills the first slots and leaves an artifact's code behind.
fn deploy(artifact: &str, slots: &[U256]) -> Bytes {
    let artifact: Value = serde_json::from_str(artifact).expect("artifacts are JSON");
    let runtime = artifact["runtimeBytecode"].as_str().expect("an artifact has code");
    let runtime = hex::decode(runtime).expect("code is hexadecimal");
    let mut code = Vec::new();
    for (slot, value) in slots.iter().enumerate() {
        push(&mut code, *value);
        push(&mut code, U256::from(slot));
        code.push(SSTORE);
    }
    let [high, low] = (runtime.len() as u16).to_be_bytes();
    // Two pushes of the length, for CODECOPY and RETURN, and where the code starts: behind this.
    let start = code.len() + 13;
    let [start_high, start_low] = (start as u16).to_be_bytes();
    code.extend_from_slice(&[PUSH2, high, low, PUSH2, high, low, PUSH2, start_high, start_low]);
    code.extend_from_slice(&[PUSH0, CODECOPY, PUSH0, RETURN]);
    debug_assert_eq!(code.len(), start);
    code.extend_from_slice(&runtime);
    code.into()
}

/// Makes calls and reverts unless all succeed: code to run ahead of one, what of the memory it gets, value and recipient.
fn run(prepare: Vec<u8>, calls: impl Iterator<Item = (Vec<u8>, [u64; 2], U256, Address)>) -> Bytes {
    let mut code = prepare;
    push(&mut code, U256::from(1));
    for (before, [offset, size], value, to) in calls {
        code.extend_from_slice(&before);
        code.extend_from_slice(&[PUSH0, PUSH0]);
        push(&mut code, U256::from(size));
        push(&mut code, U256::from(offset));
        push(&mut code, value);
        push(&mut code, to.into_word().into());
        code.extend_from_slice(&[GAS, CALL, AND]);
    }
    let [high, low] = ((code.len() + 7) as u16).to_be_bytes();
    code.extend_from_slice(&[PUSH2, high, low, JUMPI, PUSH0, PUSH0, REVERT, JUMPDEST, STOP]);
    code.into()
}

fn store(code: &mut Vec<u8>, offset: u64, word: U256) {
    push(code, word);
    push(code, U256::from(offset));
    code.push(MSTORE);
}

/// The shortest push.
fn push(code: &mut Vec<u8>, value: U256) {
    let length = value.byte_len();
    code.push(PUSH0 + length as u8);
    code.extend_from_slice(&value.to_be_bytes::<32>()[32 - length..]);
}

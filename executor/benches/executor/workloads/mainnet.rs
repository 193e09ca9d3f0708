//! A block of Ethereum's mainnet.

use rand::rngs::StdRng;

use crate::{
    memory::Memory,
    scene::{Block, Scene},
    zoo::mainnet::MainnetBlock,
};

/// The one block, as often as it takes to have so many transactions, each time on the state before it.
pub(super) fn scene(count: usize, _: &mut StdRng) -> Scene {
    let MainnetBlock { attributes, transactions, accounts, block_hashes } = MainnetBlock::load();
    let mut memory = Memory::default();
    for (address, before) in accounts {
        memory.fund(address, before.balance);
        if let Some(code) = before.code.filter(|code| !code.is_empty()) {
            memory.deploy(address, &code);
        }
        memory.accounts.entry(address).or_default().nonce = before.nonce;
        if !before.storage.is_empty() {
            memory.store(address, before.storage);
        }
    }
    memory.block_hashes = block_hashes.into_iter().collect();
    let times = count.div_ceil(transactions.len());
    let blocks = (0..times).map(|_| Block::new(attributes.clone(), transactions.clone())).collect();
    Scene { chain_id: 1, memory, blocks, independent: true }
}

//! What a development chain says when it is up.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
};

use alloy_primitives::{B256, hex};
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use millrace_contracts::{DEV_ACCOUNTS, DEV_MNEMONIC};

use crate::devnet::DevnetListening;

/// Where a node is to be found.
#[derive(Debug, Clone)]
pub struct Listening {
    /// JSON-RPC over HTTP and WebSocket.
    pub rpc: SocketAddr,
    /// Metrics and health.
    pub ops: SocketAddr,
    /// The chain's id.
    pub chain_id: u64,
    /// The newest block.
    pub block: u64,
    /// Where the chain lives.
    pub data_dir: PathBuf,
    /// Whether that goes with the process.
    pub temporary: bool,
}

/// Prints where the node is and which accounts have money. The last line begins with `Ready`.
pub fn banner(out: &mut dyn Write, listening: &Listening) -> io::Result<()> {
    print(out, listening, &[])
}

/// The same of a devnet, with its L1.
pub fn devnet_banner(out: &mut dyn Write, listening: &DevnetListening) -> io::Result<()> {
    let DevnetListening { node, l1_url, rollup, portal } = listening;
    let l1 = [
        format!("L1        {l1_url}"),
        format!("Portal    {portal}  (deposits, on L1)"),
        format!("Rollup    {}", rollup.display()),
    ];
    print(out, node, &l1)
}

fn print(out: &mut dyn Write, listening: &Listening, l1: &[String]) -> io::Result<()> {
    let Listening { rpc, ops, chain_id, block, data_dir, temporary } = listening;
    let remark = if *temporary {
        "  (temporary: it goes with this process; keep one with --data-dir)"
    } else {
        ""
    };
    writeln!(out, "Millrace {}, development chain {chain_id}\n", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "JSON-RPC  http://{rpc}  (WebSocket on the same port)")?;
    writeln!(out, "Metrics   http://{ops}/metrics")?;
    l1.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "Data      {}{remark}\n", data_dir.display())?;
    writeln!(
        out,
        "Accounts, 10,000,000 ether each at genesis; the keys are public, use them nowhere else:"
    )?;
    for (index, address) in DEV_ACCOUNTS.iter().enumerate() {
        writeln!(out, "  ({index}) {address}  {}", hex::encode_prefixed(dev_key(index)))?;
    }
    writeln!(out, "Mnemonic: {DEV_MNEMONIC}\n")?;
    writeln!(out, "Ready at block {block}. Ctrl-C ends it.")?;
    out.flush()
}

/// The key of a development account.
pub(crate) fn dev_key(index: usize) -> B256 {
    MnemonicBuilder::<English>::default()
        .phrase(DEV_MNEMONIC)
        .index(u32::try_from(index).expect("ten accounts"))
        .and_then(|builder| builder.build())
        .expect("the mnemonic is valid")
        .to_bytes()
}

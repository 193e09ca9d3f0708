//! A whole rollup: anvil as L1, the contracts on it, a sequencer that posts there, and whoever derives the chain from L1.
//!
//! However a scenario goes, it ends with `millrace verify` agreeing on every block up to the one it was about, and kona-check,
//! if there is one (`MILLRACE_KONA_CHECK` says where). What may depend on chance is drawn from a printed seed;
//! `MILLRACE_ROLLUP_SEED` replays it.

mod config_updates;
mod deployment;
mod deposits;
mod endpoints;
mod finality;
mod fixture;
mod hostile;
mod inbox;
mod keys;
mod kills;
mod kona;
mod load;
mod modes;
mod outages;
mod reorgs;
mod reorgs_again;
mod restarts;
mod setbacks;
mod spikes;
mod window;

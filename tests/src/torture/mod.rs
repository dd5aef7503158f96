//! Kills, power cuts, full disks and flipped bits, again and again, and a reckoning after each:
//! `docs/reliability.md` has what they show.

mod cli;
pub mod flip;
pub mod kill;
pub mod power_cut;
pub mod shop;
pub mod workload;

pub use cli::run;

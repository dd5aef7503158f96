//! The benchmark: Relay, its receiver and its load in processes of their own, on one machine,
//! beside nginx and a plain hyper proxy in the same run.
//!
//! [`scenario`] says what is measured, [`rig`] starts the processes of one scenario,
//! [`measure`] puts one [`load`] on it, [`report`] writes down what came out. The other side of
//! each pipe is [`generate`], [`ask`], [`receiver`] and [`proxy`]: the same program, started again.
//! [`host`] measures the plugin host alone, in this process.
//! `docs/performance.md` has the method.

mod cli;
mod host;
mod load;
mod measure;
mod report;
mod rig;
mod scenario;

mod ask;
mod generate;
mod proxy;
mod receiver;

mod answers;
mod call;
mod machine;
mod nginx;
mod process;
mod relay;
mod signature;
mod system;
mod trace;
mod wire;
mod worker;

pub use cli::run;

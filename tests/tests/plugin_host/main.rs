//! The plugin host, driven through its library interface with plugins that behave and
//! plugins that do not.

mod abuse;
mod binding;
mod chains;
mod compiling;
mod faults;
mod lean;
mod loading;
mod malformed;
mod pages;
mod powers;
mod reloading;
mod reuse;
mod worker;

use relay_tests::host_kit as kit;

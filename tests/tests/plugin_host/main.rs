//! The plugin host, driven through its library interface with plugins that behave and
//! plugins that do not.

mod abuse;
mod bench;
mod binding;
mod chains;
mod compiling;
mod faults;
mod kit;
mod lean;
mod loading;
mod malformed;
mod pages;
mod powers;
mod reloading;
mod reuse;
mod worker;

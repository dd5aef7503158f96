//! `log`: lines for the delivery's log and the relay's own.

use crate::model::event::Header;
use crate::plugins::v0_1::bindings::relay::plugin::log::{Host, Level};
use crate::plugins::visit::{Severity, Visit};

impl Host for Visit {
    fn log(&mut self, level: Level, message: String, fields: Vec<Header>) -> wasmtime::Result<()> {
        self.count_host_call()?;
        let mut line = message;
        for (name, value) in &fields {
            line.push(' ');
            line.push_str(name);
            line.push('=');
            line.push_str(value);
        }
        self.note(severity(level), &line)
    }

    fn enabled(&mut self, level: Level) -> wasmtime::Result<bool> {
        self.count_host_call()?;
        Ok(severity(level).is_kept())
    }
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::Trace => Severity::Trace,
        Level::Debug => Severity::Debug,
        Level::Info => Severity::Info,
        Level::Warn => Severity::Warn,
        Level::Error => Severity::Error,
    }
}

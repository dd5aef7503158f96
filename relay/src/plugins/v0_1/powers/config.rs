//! `config`: the configuration that the owner gives this plugin.

use crate::plugins::json;
use crate::plugins::json::pointer::Pointer;
use crate::plugins::v0_1::bindings::relay::plugin::config::Host;
use crate::plugins::visit::Visit;

impl Host for Visit {
    fn document(&mut self) -> wasmtime::Result<String> {
        self.count_host_call()?;
        Ok(self.grants.config.clone())
    }

    fn value(&mut self, pointer: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        let Ok(pointer) = Pointer::parse(&pointer) else {
            return Ok(None);
        };
        Ok(json::find(&self.grants.config, &pointer).map(str::to_owned))
    }
}

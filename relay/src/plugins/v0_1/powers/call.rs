//! `call`: why the plugin runs, and the envelope of what it looks at.

use crate::model::event::Header;
use crate::plugins::subject::value_of;
use crate::plugins::v0_1::bindings::relay::plugin::call::{Context, Host};
use crate::plugins::visit::Visit;
use crate::store::Named;

impl Host for Visit {
    fn current(&mut self) -> wasmtime::Result<Context> {
        self.count_host_call()?;
        let owner = &self.grants.owner;
        Ok(Context {
            tenant: owner.tenant_name.clone(),
            source: self
                .origin
                .source
                .clone()
                .or_else(|| (owner.kind == Named::Source).then(|| owner.name.clone())),
            endpoint: (owner.kind == Named::Endpoint).then(|| owner.name.clone()),
            delivery: self.origin.delivery.map(|id| id.to_string()),
            attempt: self.origin.attempt,
            budget_ms: u32::try_from(self.time_left().as_millis()).unwrap_or(u32::MAX),
        })
    }

    fn attribute(&mut self, of: u32, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        // An event that a plugin has kept from an earlier call is not this one.
        let event = self.subject.event().filter(|_| of == self.data_number());
        Ok(event.and_then(|event| event.attribute(&name)))
    }

    fn header(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(value_of(self.subject.headers(), &name))
    }

    fn headers(&mut self) -> wasmtime::Result<Vec<Header>> {
        self.count_host_call()?;
        Ok(self.subject.headers().to_vec())
    }

    fn extension(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(value_of(self.subject.extensions(), &name))
    }

    fn extensions(&mut self) -> wasmtime::Result<Vec<Header>> {
        self.count_host_call()?;
        Ok(self.subject.extensions().to_vec())
    }

    fn answer_header(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(value_of(self.subject.answer_headers(), &name))
    }

    fn answer_headers(&mut self) -> wasmtime::Result<Vec<Header>> {
        self.count_host_call()?;
        Ok(self.subject.answer_headers().to_vec())
    }
}

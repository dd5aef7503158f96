//! `secrets`: named secrets that the operator granted.

use crate::plugins::v0_1::bindings::relay::plugin::secrets::{Host, SecretError};
use crate::plugins::visit::Visit;

impl Host for Visit {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<String, SecretError>> {
        self.count_host_call()?;
        Ok(granted(self, &name).map(str::to_owned))
    }
}

/// The text of a granted secret.
pub(super) fn granted<'v>(visit: &'v Visit, name: &str) -> Result<&'v str, SecretError> {
    visit
        .grants
        .secret(name)
        .ok_or_else(|| SecretError::NotGranted(name.to_owned()))
}
